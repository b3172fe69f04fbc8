import { resolve } from "node:path";
import { ConfigError } from "@openhermit/config";
import type { CliConfig } from "./config.ts";
import type { ColorMode } from "./output/terminal.ts";

/** The flags that every verb takes. */
export interface GlobalFlags {
  readonly home: string | undefined;
  readonly url: string | undefined;
  readonly context: string | undefined;
  readonly insecure: boolean;
  readonly color: ColorMode;
}

const WITH_VALUE = ["--home", "--url", "--context", "--color"];

/** Whether the word after this one is its value. */
export const takesValue = (word: string | undefined): boolean => word !== undefined && WITH_VALUE.includes(word);

/** The global flags, read before the program is built, since they decide how errors look. */
export function readGlobalFlags(args: readonly string[]): GlobalFlags {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  const value = (flag: string): string | undefined => {
    const index = before.lastIndexOf(flag);
    if (index >= 0) return before[index + 1];
    return before.findLast((argument) => argument.startsWith(`${flag}=`))?.slice(flag.length + 1);
  };
  const color = value("--color");
  return {
    home: value("--home"),
    url: value("--url"),
    context: value("--context"),
    insecure: before.includes("--insecure"),
    color: color === "always" || color === "never" ? color : "auto",
  };
}

/**
 * The configuration with the flags in their place. A flag that names a gateway puts aside what the environment says of
 * it: of a context all, since a token of the environment is not meant for it. Throws ConfigError for a URL that is none.
 */
export function applyGlobalFlags(config: CliConfig, flags: GlobalFlags): CliConfig {
  const { home, url, context, insecure } = flags;
  return {
    ...config,
    insecure: config.insecure || insecure,
    ...(home !== undefined && { home: resolve(home), homeGiven: true, context: undefined }),
    ...(context !== undefined && { context, url: undefined, token: undefined }),
    ...(url !== undefined && { url: checkedUrl(url), context }),
  };
}

function checkedUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new ConfigError(["--url must be a URL that begins with http:// or https://"]);
}

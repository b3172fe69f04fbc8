import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { nearestWord } from "../nearest-word.ts";
import { labelSetting, type Setting } from "./setting.ts";

/** What a person wants a setting to be; empty: not set. */
export interface WantedSetting {
  readonly setting: Setting;
  readonly value: string;
}

/** More than instructions may have, and no long wait for a wrong file. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads words like `model=offline/echo`, `labels.tier=` (unset) and `instructions=@FILE` (@- is stdin). Throws CliError for
 * a key that is not known, with the one that was probably meant, and for one that stands there twice.
 */
export async function parseSettings(
  cli: Cli,
  words: readonly string[],
  known: readonly Setting[],
  options: { labels: boolean },
): Promise<WantedSetting[]> {
  const wanted = new Map<string, WantedSetting>();
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 1) throw noAssignment(word, known, options);
    const setting = findSetting(word.slice(0, equals), known, options);
    if (wanted.has(setting.key)) throw new CliError(`${setting.key} is given twice`, { next: "give it once" });
    const written = word.slice(equals + 1);
    const fromFile = setting.key === "instructions" && written.startsWith("@");
    wanted.set(setting.key, { setting, value: fromFile ? await textOf(cli, written.slice(1)) : written });
  }
  return [...wanted.values()];
}

/** The setting of a key. Throws CliError with the key that was probably meant. */
export function findSetting(key: string, known: readonly Setting[], { labels }: { labels: boolean }): Setting {
  const label = labels ? /^labels\.(.+)$/s.exec(key)?.[1] : undefined;
  if (label !== undefined) return labelSetting(label);
  const found = known.find((setting) => setting.key === key);
  if (found) return found;
  const keys = known.map((setting) => setting.key);
  // The last part alone is what people remember.
  const meant = keys.find((one) => one.toLowerCase().endsWith(`.${key.toLowerCase()}`)) ?? nearestWord(key, keys);
  throw new CliError(`"${key}" is no key`, {
    why: meant === undefined ? `keys are ${keysText(keys, labels)}` : `did you mean ${meant}?`,
    next: "write keys as in a manifest, like model=offline/echo",
  });
}

/** Sets all of them. Throws CliError with each value that is not of its form. */
export function writeSettings(agent: Agent, wanted: readonly WantedSetting[]): void {
  const problems = wanted.flatMap(({ setting, value }) => {
    const rule = setting.write(agent, value);
    if (rule === undefined) return [];
    return [value === "" ? `${setting.key} can't be unset: ${rule}` : `${setting.key} must be ${rule}`];
  });
  if (problems.length > 0) throw new CliError(problems.join("; "), { next: "mend it; nothing was changed" });
}

function noAssignment(word: string, known: readonly Setting[], { labels }: { labels: boolean }): CliError {
  const keys = known.map(({ key }) => key);
  const why = keys.includes(word) ? undefined : `it must be KEY=VALUE; keys are ${keysText(keys, labels)}`;
  const key = keys.includes(word) ? word : "KEY";
  return new CliError(`"${word}" sets nothing`, { why, next: `write ${key}=VALUE, or ${key}= to unset it` });
}

const keysText = (keys: readonly string[], labels: boolean): string =>
  [...keys, ...(labels ? ["labels.NAME"] : [])].join(", ");

async function textOf(cli: Cli, file: string): Promise<string> {
  if (file === "-") return readAll(cli.stdin);
  try {
    const content = await readFile(file);
    if (content.length > MAX_FILE_BYTES)
      throw new CliError(`${file} is too long`, { why: "instructions have at most 64 KiB" });
    return content.toString("utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(`the file ${file} can't be read`, {
      why: code === "ENOENT" ? "it does not exist" : String(code ?? error),
      next: "name a file: instructions=@FILE",
      cause: error,
    });
  }
}

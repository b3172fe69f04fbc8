import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { CliError } from "../cli-error.ts";
import { looksSecret, secretReference } from "./secret-words.ts";

/** What `mcp add` is given. */
export interface ServerFlags {
  env?: readonly string[];
  secretEnv?: readonly string[];
  header?: readonly string[];
  secretHeader?: readonly string[];
}

/** The server that words and flags describe: a URL alone, or a command with its arguments. Throws CliError for both, and neither. */
export function serverFromFlags(id: string, words: readonly string[], flags: ServerFlags): McpServer {
  return create(McpServerSchema, { id, transport: transportOf(words, flags) });
}

function transportOf(
  [first, ...args]: readonly string[],
  { env = [], secretEnv = [], header = [], secretHeader = [] }: ServerFlags,
): NonNullable<MessageInitShape<typeof McpServerSchema>["transport"]> {
  if (first === undefined) {
    throw new CliError("there is neither a command nor a URL", {
      why: "an MCP server is a program, or a streamable HTTP endpoint",
      next: "bin/hermit mcp add ID -- COMMAND ARGS..., or bin/hermit mcp add ID https://...",
    });
  }
  const isUrl = /^https?:\/\//i.test(first);
  if (isUrl && args.length > 0) throw new CliError("a URL takes no arguments", { why: `${args[0]} stands after it` });
  const misplaced = isUrl ? [...env, ...secretEnv] : [...header, ...secretHeader];
  if (misplaced.length > 0) {
    throw new CliError(isUrl ? "a URL has no environment" : "a command has no headers", {
      next: isUrl ? "use --header and --secret-header" : "use --env and --secret-env",
    });
  }
  if (isUrl) {
    const headers = merge("--header", header.map(plainPair), secretHeader.map(secretHeaderPair));
    return { case: "http", value: { url: first, headers } };
  }
  const value = { command: first, args, env: merge("--env", env.map(plainPair), secretEnv.map(secretPair)) };
  return { case: "stdio", value };
}

type Pair = readonly [name: string, value: string];

/** `NAME=VALUE`, refused when the value may be secret: it would stay in the history of the shell, and in the catalogue. */
function plainPair(text: string): Pair {
  const [name, value] = split(text, "NAME=VALUE");
  if (!looksSecret(name, value)) return [name, value];
  throw new CliError(`the value of ${name} seems to be secret`, {
    why: "it would stand in the history of your shell and in the catalogue",
    next: "keep it in the environment of the gateway, and name it: --secret-env NAME or --secret-header NAME=SECRET_NAME",
  });
}

/** `NAME`, or `NAME=SECRET_NAME`. */
function secretPair(text: string): Pair {
  const [name, secret] = text.includes("=") ? split(text, "NAME=SECRET_NAME") : [text, text];
  return [name, secretReference(secret)];
}

/** `NAME=SECRET_NAME`, or with a scheme: `Authorization=Bearer SECRET_NAME`. */
function secretHeaderPair(text: string): Pair {
  const [name, value] = split(text, "NAME=SECRET_NAME");
  const [, scheme = "", secret = ""] = /^(.* )?(\S*)$/.exec(value) ?? [];
  return [name, `${scheme}${secretReference(secret)}`];
}

function split(text: string, form: string): Pair {
  const equals = text.indexOf("=");
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new CliError(`"${text.slice(0, 60)}" is not ${form}`, { next: `write it like ${form}` });
}

function merge(flag: string, ...pairs: readonly (readonly Pair[])[]): Record<string, string> {
  const all = pairs.flat();
  const twice = all.find(([name], index) => all.findIndex(([other]) => other === name) !== index);
  if (twice) throw new CliError(`${twice[0]} is given twice`, { next: `give it once, with ${flag} or as a secret` });
  return Object.fromEntries(all);
}

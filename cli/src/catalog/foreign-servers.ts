import { CliError } from "../cli-error.ts";
import { plainLine } from "../output/plain-text.ts";
import { parseJsonWithComments } from "./json-with-comments.ts";
import { looksSecret } from "./secret-words.ts";

/** An MCP server in the form of a manifest, read from that of another tool. */
export interface ForeignServer {
  readonly id: string;
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What was read, and what a person should know of it. */
export interface ForeignServers {
  readonly servers: readonly ForeignServer[];
  /** A sentence each: what was left out, what is called otherwise, what may be secret. */
  readonly notes: readonly string[];
}

type Values = Readonly<Record<string, string | undefined>>;
type Json = Readonly<Record<string, unknown>>;

const KEYS = ["command", "args", "env", "type", "url", "headers"];
const REFERENCE = /\$\{([^{}]*)\}/g;
const MAX_NAMES = 1000;

/**
 * Reads MCP servers in the JSON of other tools: `mcpServers`, or `servers` of VS Code. `${NAME}`, `${env:NAME}` and
 * `${NAME:-fallback}` are taken from the environment, `${secret.NAME}` stays. Throws CliError with every problem at once.
 */
export function readForeignServers(text: string, label: string, environment: Values): ForeignServers {
  const all = Object.entries(sectionOf(text, label));
  if (all.length === 0) throw unreadable(label, "it names no server");
  if (all.length > MAX_NAMES) throw unreadable(label, `it names more than ${MAX_NAMES} servers`);
  const problems: string[] = [];
  // Who switched one off there would be surprised to see it run here.
  const off = all.filter(([, value]) => isObject(value) && value["disabled"] === true);
  const notes = off.map(([name]) => `${shown(name)}: left out, since it is disabled there`);
  const named = all.filter((one) => !off.includes(one));
  if (named.length === 0) throw unreadable(label, "all its servers are disabled");
  const servers = named.map(([name, value]) => readServer({ name, value, environment, problems, notes }));
  for (const { id } of servers.filter((one, index) => servers.findIndex(({ id: other }) => other === one.id) !== index))
    problems.push(`${id}: two servers would be called so`);
  if (problems.length > 0) {
    throw new CliError(`${label} can't be imported; nothing was changed`, {
      why: problems.join("\n"),
      next: "mend the file, or set what is missing in the environment of this command",
    });
  }
  return { servers, notes };
}

/** The object that has servers by their names, wherever a tool keeps it. */
function sectionOf(text: string, label: string): Json {
  let root: unknown;
  try {
    root = parseJsonWithComments(text);
  } catch (error) {
    throw unreadable(
      label,
      `it is no JSON: ${plainLine(error instanceof Error ? error.message : String(error))}`,
      error,
    );
  }
  if (!isObject(root)) throw unreadable(label, "it holds no object");
  const nested = isObject(root["mcp"]) ? root["mcp"] : {};
  const section = [root["mcpServers"], root["servers"], nested["servers"], nested["mcpServers"]].find(isObject);
  if (section) return section;
  const isBare = Object.values(root).every((value) => isObject(value) && ("command" in value || "url" in value));
  if (isBare && Object.keys(root).length > 0) return root;
  throw unreadable(label, "it has neither mcpServers nor servers");
}

function readServer(options: {
  name: string;
  value: unknown;
  environment: Values;
  problems: string[];
  notes: string[];
}): ForeignServer {
  const { name, value, environment, problems, notes } = options;
  const id = idOf(name);
  if (id === "") problems.push(`${shown(name)}: no id can be made of this name`);
  if (id !== name && id !== "") notes.push(`${shown(name)} is called ${id} here`);
  if (!isObject(value)) {
    problems.push(`${shown(name)}: it is no object`);
    return { id };
  }
  const left = Object.keys(value).filter((key) => !KEYS.includes(key));
  if (left.length > 0) notes.push(`${id}: left out, since it has no meaning here: ${left.map(shown).join(", ")}`);
  const resolve = (text: string, path: string): string =>
    resolveVariables(text, environment, {
      // Nowhere else is a secret put in.
      secret: /^(env|headers)\./.test(path) ? secretName(path.slice(path.indexOf(".") + 1)) : undefined,
      problem: (words) => problems.push(`${id}.${path}: ${words}`),
    });
  const word = (key: "command" | "type" | "url"): object => {
    const found = value[key];
    if (found === undefined || found === null) return {};
    if (typeof found === "string") return { [key]: resolve(found, key) };
    problems.push(`${id}.${key}: it must be text`);
    return {};
  };
  const words = (): object => {
    const found = value["args"] ?? undefined;
    if (found === undefined) return {};
    if (Array.isArray(found) && found.every(isWord))
      return { args: found.map((one, index) => resolve(String(one), `args[${index}]`)) };
    problems.push(`${id}.args: it must be a list of words`);
    return {};
  };
  const pairs = (key: "env" | "headers"): object => {
    const found = value[key] ?? undefined;
    if (found === undefined) return {};
    if (!isObject(found) || !Object.values(found).every(isWord)) {
      problems.push(`${id}.${key}: it must be an object of words`);
      return {};
    }
    const read = Object.entries(found).map(([one, text]) => [one, resolve(String(text), `${key}.${one}`)] as const);
    for (const [one, text] of read) if (looksSecret(one, text)) notes.push(secretNote(id, key, one));
    return { [key]: Object.fromEntries(read) };
  };
  return {
    id,
    ...word("command"),
    ...words(),
    ...pairs("env"),
    ...transportType(word("type")),
    ...word("url"),
    ...pairs("headers"),
  };
}

/** The same word in the spelling of a manifest. */
function transportType(read: { type?: string }): object {
  const { type } = read;
  if (type === undefined) return {};
  return /^(streamable-?http|http)$/i.test(type) ? { type: "http" } : { type };
}

function resolveVariables(
  text: string,
  environment: Values,
  { secret, problem }: { secret: string | undefined; problem(words: string): void },
): string {
  return text.replace(REFERENCE, (whole, inner: string) => {
    if (inner.startsWith("secret.")) return whole;
    const [, name, fallback] = /^(?:env:)?([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inner) ?? [];
    const found = name === undefined ? undefined : environment[name];
    if (found !== undefined && (found !== "" || fallback === undefined)) return found;
    if (fallback !== undefined) return fallback;
    const orSecret = secret === undefined ? "" : `, or for a secret \${secret.${secret}}`;
    problem(
      name === undefined
        ? `${shown(whole)} has no meaning here; write the value${orSecret}`
        : `the variable ${name} is not set; set it${orSecret === "" ? "" : `${orSecret} in the file`}`,
    );
    return whole;
  });
}

function secretNote(id: string, key: string, name: string): string {
  const secret = secretName(name);
  return `${id}: ${key}.${shown(name)} seems to be secret and is stored as it is; rather write \${secret.${secret}}, and set ${secret} where the gateway starts`;
}

/** What a secret of this name is called in the environment of a sidecar. */
function secretName(name: string): string {
  const suggested = name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
  return /^[A-Z][A-Z0-9_]*(KEY|TOKEN|SECRET|PASSWORD)$/.test(suggested) ? suggested : `${suggested}_TOKEN`;
}

/** Ids are lower-case letters, digits and dashes, at most 32. */
const idOf = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 32)
    .replace(/-+$/, "");

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isWord = (value: unknown): boolean => ["string", "number", "boolean"].includes(typeof value);

const shown = (name: string): string => plainLine(name, 60);

const unreadable = (label: string, why: string, cause?: unknown): CliError =>
  new CliError(`${label} can't be imported`, {
    why,
    next: 'name a file like {"mcpServers": {"files": {"command": "npx", "args": ["..."]}}}',
    cause,
  });

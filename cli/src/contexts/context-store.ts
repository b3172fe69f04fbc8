import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../cli-error.ts";
import { isContextName, LOCAL, normalUrl, type Context, type Contexts, type Login } from "./context.ts";
import { makePrivateFolder, withFolderLock, writePrivateFile } from "./private-folder.ts";

/** The file of names and URLs, which a person may edit. */
export const CONFIG_FILE = "config.yaml";
/** The file of tokens. */
export const CREDENTIALS_FILE = "credentials.json";

/** Reads the contexts of a folder. Throws CliError when a file is there and is not what it should be. */
export async function readContexts(folder: string): Promise<Contexts> {
  const config = readText(join(folder, CONFIG_FILE));
  if (config === undefined) return { current: undefined, contexts: [] };
  // Loaded when there is something to read: most calls have no contexts.
  return decode(folder, config, (await import("yaml")).parse);
}

/** Changes the contexts, with what others have changed meanwhile. Throws CliError when the folder can't be written. */
export async function changeContexts(folder: string, change: (before: Contexts) => Contexts): Promise<void> {
  const { parse, stringify } = await import("yaml");
  try {
    makePrivateFolder(folder);
    withFolderLock(folder, () => {
      const config = readText(join(folder, CONFIG_FILE)) ?? "";
      const { current, contexts } = change(decode(folder, config, parse));
      const sorted = contexts.toSorted((one, other) => (one.name < other.name ? -1 : 1));
      const logins = sorted.flatMap(({ name, login }) => (login ? [[name, login] as const] : []));
      // The tokens first: a name without a token asks for a login, a token without a name is only dead weight.
      writePrivateFile(folder, CREDENTIALS_FILE, `${JSON.stringify(Object.fromEntries(logins), null, 2)}\n`);
      const named = sorted.map(({ name, url, insecure }) => [name, { url, ...(insecure && { insecure }) }] as const);
      const value = { ...(current !== undefined && { current }), contexts: Object.fromEntries(named) };
      writePrivateFile(folder, CONFIG_FILE, stringify(value));
    });
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${folder} can't be written`, {
      why: error instanceof Error ? error.message : String(error),
      next: "make it writable for this user, or set XDG_CONFIG_HOME to a folder that is",
      cause: error,
    });
  }
}

function decode(folder: string, config: string, parse: (text: string) => unknown): Contexts {
  const file = join(folder, CONFIG_FILE);
  let value: unknown;
  try {
    value = parse(config) ?? {};
  } catch (error) {
    throw broken(file, error instanceof Error ? error.message : String(error));
  }
  if (!isRecord(value)) throw broken(file, "it is no mapping");
  const { current, contexts: named = {} } = value;
  if (!isRecord(named)) throw broken(file, "contexts is no mapping of names");
  if (current !== undefined && typeof current !== "string") throw broken(file, "current is no name");
  const logins = readLogins(join(folder, CREDENTIALS_FILE));
  const contexts = Object.entries(named).map(([name, entry]): Context => {
    if (!isContextName(name)) throw broken(file, `"${name}" can't be the name of a context`);
    const url = isRecord(entry) ? entry["url"] : undefined;
    if (typeof url !== "string" || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw broken(file, `context ${name} has no http or https url`);
    }
    const login = logins.get(name);
    return {
      name,
      url: normalUrl(url),
      insecure: isRecord(entry) && entry["insecure"] === true,
      // A person who changed the URL logs in again: the token goes to nobody but who gave it.
      login: login?.url === normalUrl(url) ? login : undefined,
    };
  });
  return { current: current === LOCAL ? undefined : current, contexts };
}

function readLogins(file: string): ReadonlyMap<string, Login> {
  const text = readText(file);
  if (text === undefined) return new Map();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(file, "it is no JSON");
  }
  if (!isRecord(value)) throw broken(file, "it is no mapping of names");
  return new Map(Object.entries(value).flatMap(([name, entry]) => (isLogin(entry) ? [[name, entry] as const] : [])));
}

function isLogin(value: unknown): value is Login {
  const fields = ["url", "token", "accessor", "subject", "expireTime"];
  return isRecord(value) && fields.every((field) => typeof value[field] === "string");
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw broken(file, error instanceof Error ? error.message : String(error));
  }
}

const broken = (file: string, why: string): CliError =>
  new CliError(`${file} can't be read`, { why, next: "mend or remove it, then bin/hermit login" });

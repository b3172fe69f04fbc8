import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "./cli-error.ts";
import type { CliConfig } from "./config.ts";
import { isLoopback, LOCAL, normalUrl, type Context, type Contexts } from "./contexts/context.ts";
import { readContexts } from "./contexts/context-store.ts";
import { ExitCode } from "./exit-code.ts";
import { nearestWord } from "./nearest-word.ts";

/** Where a token was taken from; it decides what to do when the gateway does not take it. */
export type CredentialSource =
  | { readonly kind: "environment" }
  | { readonly kind: "home"; readonly file: string }
  | { readonly kind: "context"; readonly name: string; readonly subject: string };

/** A gateway, and what to come in with. */
export interface FoundGateway {
  readonly url: string;
  readonly token: string;
  readonly source: CredentialSource;
}

/** A gateway, and the context that stands for it. */
export interface FoundPlace {
  readonly url: string;
  /** Undefined: the home, or a URL that no context has. */
  readonly context: Context | undefined;
}

/** What stands in `gateway.json`. */
export interface GatewayFile {
  url: string;
  pid: number;
  version: string;
}

type Place = Pick<CliConfig, "home" | "homeGiven" | "url" | "context" | "token" | "insecure" | "configFolder">;

/** What a running gateway wrote into its home; undefined when there is none or it can't be read. */
export function readGatewayFile(home: string): GatewayFile | undefined {
  try {
    const value = JSON.parse(readFileSync(join(home, "gateway.json"), "utf8")) as Partial<GatewayFile>;
    if (typeof value.url !== "string" || typeof value.pid !== "number") return undefined;
    return { url: value.url, pid: value.pid, version: value.version ?? "" };
  } catch {
    return undefined;
  }
}

/** Finds the gateway and the token that it takes. Throws CliError that says what is missing. */
export async function findGateway(config: Place): Promise<FoundGateway> {
  const place = await findPlace(config);
  const found = { ...findToken(config, place), url: place.url };
  checkTransport(config, place);
  return found;
}

/** Finds the gateway of this host's home, whatever context is the current one, unless another one was named. */
export async function findHostGateway(config: Place): Promise<FoundGateway> {
  const named = config.url !== undefined || config.context !== undefined;
  return findGateway(named ? config : { ...config, context: LOCAL });
}

/**
 * Finds the gateway: what was named (a URL or a context), else the home that was named, else the current context, else
 * the home. Throws CliError when there is none, or two were named.
 */
export async function findPlace(config: Place): Promise<FoundPlace> {
  const { home, homeGiven, url, context } = config;
  if (context !== undefined) {
    const place = context === LOCAL ? homePlace(home) : contextPlace(await readContexts(config.configFolder), context);
    if (url !== undefined && normalUrl(url) !== normalUrl(place.url)) {
      throw new CliError(`--url and context ${context} name two gateways`, {
        why: `${normalUrl(url)} and ${place.url}`,
        next: "give one of them; bin/hermit context list shows the contexts",
      });
    }
    return place;
  }
  if (url !== undefined) return { url, context: homeGiven ? undefined : await contextOf(config, url) };
  if (homeGiven) return homePlace(home);
  const contexts = await readContexts(config.configFolder);
  return contexts.current === undefined ? homePlace(home) : contextPlace(contexts, contexts.current);
}

/** The context of a name. Throws CliError, with the one that was probably meant. */
export function findContext(all: Contexts, name: string): Context {
  const context = all.contexts.find((candidate) => candidate.name === name);
  if (!context) throw noContext(all, name);
  return context;
}

/** The error of a name that no context has. */
export function noContext({ contexts }: Contexts, name: string): CliError {
  const meant = nearestWord(name, [...contexts.map((candidate) => candidate.name), LOCAL]);
  return new CliError(`context ${name} does not exist`, {
    why: meant === undefined ? undefined : `did you mean ${meant}?`,
    next: `bin/hermit context list, or bin/hermit login --url URL --context ${name}`,
  });
}

/** Refuses to send a secret where others could read it on its way. */
export function checkTransport(config: Pick<Place, "home" | "insecure">, { url, context }: FoundPlace): void {
  const own = readGatewayFile(config.home)?.url;
  if (new URL(url).protocol === "https:" || isLoopback(url) || url === own) return;
  if (config.insecure || context?.insecure === true) return;
  throw new CliError(`${url} is not safe to send a token to`, {
    why: "without TLS, whoever is on the way to that host can read it",
    next: "use an https URL, or say --insecure on a network that you trust",
  });
}

function homePlace(home: string): FoundPlace {
  const url = readGatewayFile(home)?.url;
  if (url !== undefined) return { url, context: undefined };
  throw new CliError("no gateway is running here", {
    why: `${join(home, "gateway.json")} does not exist, and no --url, --context or OPENHERMIT_URL is given`,
    next: "bin/hermit up, or bin/hermit login --url URL for the gateway of another host",
  });
}

function contextPlace(contexts: Contexts, name: string): FoundPlace {
  const context = findContext(contexts, name);
  return { url: context.url, context };
}

/** The context that a URL belongs to: the current one first; undefined when there is none, or nobody can tell which. */
async function contextOf({ configFolder }: Place, url: string): Promise<Context | undefined> {
  const { current, contexts } = await readContexts(configFolder);
  const fitting = contexts.filter((context) => context.url === normalUrl(url));
  return fitting.find(({ name }) => name === current) ?? (fitting.length === 1 ? fitting[0] : undefined);
}

function findToken(config: Place, { url, context }: FoundPlace): Omit<FoundGateway, "url"> {
  if (config.token !== undefined) return { token: config.token, source: { kind: "environment" } };
  if (context?.login) {
    const { token, subject } = context.login;
    return { token, source: { kind: "context", name: context.name, subject } };
  }
  if (context) {
    throw new CliError(`nobody is logged in to ${context.url}`, {
      why: `context ${context.name} has no token`,
      next: `bin/hermit login --context ${context.name}`,
      exitCode: ExitCode.loginNeeded,
    });
  }
  // The token in the home is the key to this host's gateway; it is not sent to another host.
  if (url !== readGatewayFile(config.home)?.url && !isLoopback(url)) {
    throw new CliError(`no token for ${url}`, {
      why: "the token in the home is sent only to the gateway of this host",
      next: `bin/hermit login --url ${url}, or set OPENHERMIT_TOKEN to a token of that gateway`,
      exitCode: ExitCode.loginNeeded,
    });
  }
  const file = join(config.home, "operator-token");
  return { token: readToken(file), source: { kind: "home", file } };
}

function readToken(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === "EACCES";
    throw new CliError("no operator token", {
      why: denied ? `${file} belongs to another user` : `${file} does not exist`,
      next: denied
        ? "run this as the user who runs the gateway, or log in as yourself: bin/hermit login --url URL"
        : "bin/hermit up, or log in: bin/hermit login --url URL",
      exitCode: ExitCode.loginNeeded,
      cause: error,
    });
  }
}

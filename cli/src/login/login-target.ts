import { CliError } from "../cli-error.ts";
import type { CliConfig } from "../config.ts";
import { contextNameOf, isContextName, LOCAL, normalUrl, type Context } from "../contexts/context.ts";
import { readContexts } from "../contexts/context-store.ts";
import { checkTransport, findPlace } from "../find-gateway.ts";

/** Where a person logs in, and under which name that is kept. */
export interface LoginTarget {
  readonly name: string;
  readonly url: string;
  readonly insecure: boolean;
  /** The context as it is; undefined: a new one. */
  readonly known: Context | undefined;
}

/** Finds the gateway to log in to, and the context's name. Throws CliError when they do not fit each other. */
export async function findLoginTarget(config: CliConfig): Promise<LoginTarget> {
  const { context: named } = config;
  if (named !== undefined && !isContextName(named)) {
    throw new CliError(`"${named}" can't be the name of a context`, {
      why:
        named === LOCAL
          ? "local is the home of this host, whose operator token needs no login"
          : "a name is letters, digits, dots, dashes and underscores, at most 63",
      next: "choose another name with --context",
    });
  }
  const { contexts } = await readContexts(config.configFolder);
  const known = contexts.find(({ name }) => name === named);
  const place = known ? { url: known.url, context: known } : await findPlace({ ...config, context: undefined });
  const url = normalUrl(config.url ?? place.url);
  const name = named ?? place.context?.name ?? contextNameOf(url);
  const before = contexts.find((context) => context.name === name);
  if (before && before.url !== url) {
    throw new CliError(`context ${name} is of another gateway`, {
      why: before.url,
      next: `choose another name with --context, or remove it: bin/hermit context remove ${name}`,
    });
  }
  if (!isContextName(name))
    throw new CliError(`${url} gives no name for its context`, { next: "give one: --context NAME" });
  checkTransport(config, { url, context: before });
  return { name, url, insecure: config.insecure || before?.insecure === true, known: before };
}

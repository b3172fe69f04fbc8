import { readdirSync } from "node:fs";

import type { BundleCache, BundleCacheOptions } from "./bundle-cache.ts";

/** The bundles of a sidecar, of which nothing is loaded before there is a skill. */
export interface LazyBundles {
  /** The cache; the same each time. */
  get: () => Promise<BundleCache>;
  /** Removes, in its own time, the bundles that are neither named nor in use, if there are any. */
  prune(named: ReadonlySet<string>): void;
}

/** Makes them; nothing is loaded. */
export function createLazyBundles(options: BundleCacheOptions): LazyBundles {
  let cache: Promise<BundleCache> | undefined;
  const load = async (): Promise<BundleCache> => {
    const { createBundleCache } = await import("./bundle-cache.ts");
    return createBundleCache(options);
  };
  const get = (): Promise<BundleCache> => (cache ??= load());
  return {
    get,
    prune(named) {
      if (cache === undefined && isEmpty(options.directory)) return;
      get()
        .then((loaded) => loaded.prune(named))
        .catch((error: unknown) => options.log.warn({ error }, "skills not pruned"));
    },
  };
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch {
    return true;
  }
}

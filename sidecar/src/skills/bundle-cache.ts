import { mkdir, readdir, rename } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { toError, unavailable } from "@openhermit/errors";
import { packBundle, removeBundle, unpackBundle, writeBundle } from "@openhermit/skill-bundle";
import type { Log } from "@openhermit/telemetry";

import type { ReadBundle } from "../link/read-bundle.ts";
import { indexOf, readFolder, type FileIndex } from "./bundle-folder.ts";

const FETCH_MS = 15_000;
const HEX = /^[0-9a-f]{64}$/;
/** What a writer or a removal that was killed has left: `.<hex>.<uuid>`. */
const LEFT_OVER = /^\.([0-9a-f]{64})\.[0-9a-f-]{36}$/;

/** A bundle on this disk, in use until it is released. */
export interface HeldBundle {
  readonly digest: string;
  /** The folder with its files, read-only. */
  readonly directory: string;
  /** Its files by path, in the order of their paths. */
  readonly files: FileIndex;
  /** Lets go of it. Does nothing the second time. */
  release(): void;
  /** The folder is not what the digest says: whoever asks next has it looked at, and fetched anew. */
  distrust(): void;
}

/** Which bundle is needed, and for whom. */
export interface BundleRequest {
  agentId: string;
  /** The skill's id, for what is said when it fails. */
  skill: string;
  digest: string;
}

/** The bundles of this sidecar, each once, by digest. */
export interface BundleCache {
  /**
   * The bundle, from disk when it is there whole, else fetched: once, also when several ask at the same time. Throws
   * SKILL_UNAVAILABLE, a sentence that names the skill; rejects with the signal's reason after an abort, while a fetch that
   * others wait for goes on.
   */
  hold(request: BundleRequest, signal: AbortSignal): Promise<HeldBundle>;
  /** Removes every bundle that is neither named here nor held, and what a killed process has left. Never rejects. */
  prune(named: ReadonlySet<string>): Promise<void>;
}

/** What the cache needs. */
export interface BundleCacheOptions {
  /** The folder of the bundles; made when the first is fetched. */
  directory: string;
  readBundle: ReadBundle;
  log: Log;
  /** How long fetching one bundle may take, all of it together, in milliseconds. Default 15 s. */
  fetchMs?: number;
}

interface Entry {
  holders: number;
  /** Ends the fetch when nobody waits for it any more. */
  readonly abandon: AbortController;
  readonly files: Promise<FileIndex>;
}

/** Makes a cache; nothing is read before the first bundle is asked for. */
export function createBundleCache(options: BundleCacheOptions): BundleCache {
  const { directory, readBundle, log, fetchMs = FETCH_MS } = options;
  const entries = new Map<string, Entry>();
  /** How many hold a digest, also by an entry that is not trusted any more. */
  const held = new Map<string, number>();
  /** Who works on the folder of a digest: one at a time. */
  const busy = new Map<string, Promise<unknown>>();

  const inTurn = <T>(digest: string, work: () => Promise<T>): Promise<T> => {
    const before = busy.get(digest);
    const turn = before === undefined ? work() : before.then(work);
    const done = turn.then(
      () => undefined,
      () => undefined,
    );
    busy.set(digest, done);
    void done.then(() => busy.get(digest) === done && busy.delete(digest));
    return turn;
  };
  const folderOf = (digest: string): string => join(directory, hexOf(digest));

  const load = async ({ agentId, skill, digest }: BundleRequest, signal: AbortSignal): Promise<FileIndex> => {
    const folder = folderOf(digest);
    const found = await readFolder(folder);
    if (found !== undefined && packBundle(found).digest === digest) return indexOf(found);
    // Half of it, or changed: it is fetched anew.
    await removeBundle(folder);
    const limit = AbortSignal.timeout(fetchMs);
    const patience = AbortSignal.any([signal, limit]);
    let data: Uint8Array;
    try {
      data = await readBundle(agentId, digest, patience);
    } catch (error) {
      signal.throwIfAborted();
      throw limit.aborted ? new Error(`the gateway did not send them within ${fetchMs / 1000} s`) : error;
    }
    signal.throwIfAborted();
    const files = unpackBundle(data, digest);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeBundle(folder, files);
    log.info({ skill, digest, bytes: data.length }, "skill fetched");
    return indexOf(files);
  };

  const open = (request: BundleRequest): Entry => {
    const known = entries.get(request.digest);
    if (known !== undefined) return known;
    const abandon = new AbortController();
    const files = inTurn(request.digest, () => load(request, abandon.signal));
    // Those who wait are told; there may be none left.
    files.catch(() => undefined);
    const entry = { holders: 0, abandon, files };
    entries.set(request.digest, entry);
    return entry;
  };

  return {
    async hold(request, signal) {
      signal.throwIfAborted();
      const { digest, skill } = request;
      const entry = open(request);
      entry.holders += 1;
      held.set(digest, (held.get(digest) ?? 0) + 1);
      let released = false;
      const distrust = (): void => {
        if (entries.get(digest) === entry) entries.delete(digest);
      };
      const release = (): void => {
        if (released) return;
        released = true;
        entry.holders -= 1;
        const left = (held.get(digest) ?? 1) - 1;
        if (left === 0) held.delete(digest);
        else held.set(digest, left);
        if (entry.holders > 0) return;
        distrust();
        entry.abandon.abort(new Error("nobody waits for the skill any more"));
      };
      try {
        return { digest, directory: folderOf(digest), files: await orAborted(entry.files, signal), release, distrust };
      } catch (error) {
        // A failure is not kept for those who come next.
        if (!signal.aborted) distrust();
        release();
        signal.throwIfAborted();
        throw unavailable(
          "SKILL_UNAVAILABLE",
          `the files of the skill "${skill}" can't be fetched: ${toError(error).message}`,
          {
            hint: "It is tried again by itself.",
            fields: { skill, digest },
            cause: error,
          },
        );
      }
    },
    async prune(named) {
      try {
        for (const name of await readdir(directory)) {
          const digest = `sha256:${HEX.test(name) ? name : (LEFT_OVER.exec(name)?.[1] ?? "")}`;
          const isUsed = named.has(digest) && HEX.test(name);
          if (digest === "sha256:" || isUsed || held.has(digest) || busy.has(digest)) continue;
          await inTurn(digest, () => remove(directory, name));
          log.info({ digest }, "skill that nobody uses removed");
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") log.warn({ error }, "skills not pruned");
      }
    },
  };
}

/** Out of the way at once, so that nobody finds half of it. */
async function remove(directory: string, name: string): Promise<void> {
  const aside = join(directory, HEX.test(name) ? `.${name}.${randomUUID()}` : name);
  try {
    if (HEX.test(name)) await rename(join(directory, name), aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  await removeBundle(aside);
}

function hexOf(digest: string): string {
  const hex = digest.replace(/^sha256:/, "");
  if (!HEX.test(hex)) throw new Error(`"${digest.slice(0, 100)}" is not the digest of a bundle`);
  return hex;
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

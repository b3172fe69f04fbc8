import { create } from "@bufbuild/protobuf";
import { notFound, unavailable, type MeshError } from "@openhermit/errors";
import {
  ReadBundleResponseSchema,
  type ReadBundleRequest,
  type ReadBundleResponse,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { HostedAgents } from "./mesh-ports.ts";

/** The size of a part, bytes. */
const PART_BYTES = 256 * 1024;
/** How many bundles are held at once: a skill given to every agent is fetched by all sidecars in the same moment. */
const MAX_AT_ONCE = 8;
/** How many of them for one sidecar; its other reads wait, and so keep nobody else waiting. */
const MAX_OF_ONE_SIDECAR = 2;
/** How long one read may take from its first part, in milliseconds. */
const MAX_READ_MS = 300_000;

/** Sends the files of skills to sidecars, at their pace, a few at a time. */
export interface BundleReads {
  /** Errors: NOT_FOUND when the sidecar does not host the agent, or the agent has no skill with this bundle. */
  serve(request: ReadBundleRequest, sidecar: HostedAgents, signal: AbortSignal): AsyncGenerator<ReadBundleResponse>;
}

/** Creates the reads of one gateway. */
export function createBundleReads(options: {
  /** The bundle, if a skill of the agent has it. */
  read(agentId: string, digest: string): Promise<Uint8Array | undefined>;
  /** A clock that never goes back, ms. */
  now?: () => number;
}): BundleReads {
  const { read, now = () => performance.now() } = options;
  const active = new Map<string, number>();
  const waiting = new Set<{ readonly sidecarId: string; start(): void }>();
  let places = MAX_AT_ONCE;

  const startNext = (): void => {
    for (const waiter of waiting) {
      if (places === 0) return;
      const own = active.get(waiter.sidecarId) ?? 0;
      if (own >= MAX_OF_ONE_SIDECAR) continue;
      waiting.delete(waiter);
      places -= 1;
      active.set(waiter.sidecarId, own + 1);
      waiter.start();
    }
  };

  const leave = (sidecarId: string): void => {
    places += 1;
    const own = (active.get(sidecarId) ?? 1) - 1;
    if (own === 0) active.delete(sidecarId);
    else active.set(sidecarId, own);
    startNext();
  };

  /** Resolves when it is this read's turn; rejects when nobody waits for it any more. */
  const enter = (sidecarId: string, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { sidecarId, start: resolve };
    const onAbort = (): void => {
      if (waiting.delete(waiter)) reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    waiting.add(waiter);
    startNext();
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  };

  return {
    async *serve({ agentId, digest }, { sidecarId, agentIds }, signal) {
      if (!agentIds.includes(agentId)) throw bundleNotFound(agentId, digest);
      await enter(sidecarId, signal);
      try {
        const data = await read(agentId, digest);
        if (data === undefined) throw bundleNotFound(agentId, digest);
        const begin = now();
        for (let offset = 0; offset < data.length; offset += PART_BYTES) {
          if (now() - begin > MAX_READ_MS) throw tooSlow();
          yield create(ReadBundleResponseSchema, { data: data.subarray(offset, offset + PART_BYTES) });
        }
      } finally {
        leave(sidecarId);
      }
    },
  };
}

function bundleNotFound(agentId: string, digest: string): MeshError {
  return notFound("BUNDLE_NOT_FOUND", `agent "${agentId}" has no skill with the bundle ${digest}`, {
    hint: "Fetch what the newest snapshot names.",
    fields: { agent_id: agentId, digest },
  });
}

function tooSlow(): MeshError {
  return unavailable("BUNDLE_READ_SLOW", `the bundle was not read within ${MAX_READ_MS / 60_000} minutes`, {
    hint: "Check the connection between this host and the gateway; reading it again begins anew.",
  });
}

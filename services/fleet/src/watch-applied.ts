import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import { agentNotFound, type Reach } from "@openhermit/caller";
import { unavailable } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { DesiredState } from "@openhermit/protocol/fleet/v1/agent";
import {
  WatchAppliedResponseSchema,
  type AgentBehindSchema,
  type WatchAppliedResponse,
} from "@openhermit/protocol/fleet/v1/fleet_service";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { observedState } from "./agent-status.ts";
import { createBell } from "./bell.ts";
import { readRuns, type AgentRun } from "./observed-agent-store.ts";

/** Follows how agents take over the newest configuration, for all watchers of this gateway. */
export interface AppliedWatch {
  /**
   * Notes the generation that each agent should run with now, and says how far they are, again with every change, until none is behind
   * or the signal aborts. No ids: all in reach. Agents that are deleted or leave the reach are no longer followed.
   *
   * Errors: AGENT_NOT_FOUND for an agent named that is not in reach; GATEWAY_STOPPING. Goes on after an outage of the database.
   */
  follow(agentIds: readonly string[], reach: Reach, signal: AbortSignal): AsyncGenerator<WatchAppliedResponse>;
  /** Ends all watches with GATEWAY_STOPPING. */
  close(): Promise<void>;
}

/** What it reads. */
export interface AppliedWatchOptions {
  database: Queryable;
  log: Log;
  catalogRevisions(agentIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>;
}

/** How long after a look at the database the next one comes, in milliseconds. */
const POLL_MS = 250;
/** The most agents that a message names. */
const MAX_BEHIND = 100;

/** One agent under watch. */
interface Followed {
  readonly run: AgentRun;
  /** The generation that was noted. */
  readonly target: bigint;
}

interface Watcher {
  /** By agent, in the order of their ids. */
  readonly followed: Map<string, Followed>;
  readonly wake: () => void;
}

/** Makes the watch. The database is read only while somebody watches, once for all of them, and only for agents that are not done. */
export function createAppliedWatch({ database, log, catalogRevisions }: AppliedWatchOptions): AppliedWatch {
  const watchers = new Set<Watcher>();
  let task: PeriodicTask | undefined;
  let closed = false;

  async function poll(): Promise<void> {
    const asked = [...watchers];
    const open = asked.flatMap(({ followed }) => [...followed.values()].filter((one) => !isApplied(one)));
    const ids = [...new Set(open.map(({ run }) => run.id))];
    if (ids.length === 0) return;
    const runs = new Map((await readRuns(database, ids)).map((run) => [run.id, run]));
    for (const { followed, wake } of asked) {
      for (const [id, one] of followed) {
        if (isApplied(one)) continue;
        const run = runs.get(id);
        if (run === undefined) followed.delete(id);
        else followed.set(id, { ...one, run });
      }
      wake();
    }
  }

  function join(watcher: Watcher): void {
    watchers.add(watcher);
    task ??= createPeriodicTask({
      name: "watch applied generations",
      periodMs: POLL_MS,
      run: poll,
      onError: (error) => log.debug({ err: error }, "applied generations not read"),
    });
  }

  function leave(watcher: Watcher): void {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    void task?.stop();
    task = undefined;
  }

  async function noteTargets(agentIds: readonly string[], reach: Reach): Promise<Map<string, Followed>> {
    const found = await readRuns(database, agentIds.length === 0 ? "all" : agentIds);
    const runs = found.filter(({ id, team }) => reach.has(id, team));
    const known = new Set(runs.map(({ id }) => id));
    const missing = agentIds.find((id) => !known.has(id));
    if (missing !== undefined) throw agentNotFound(missing);
    const revisions = await catalogRevisions([...known]);
    return new Map(runs.map((run) => [run.id, { run, target: run.revision + (revisions.get(run.id) ?? 0n) }]));
  }

  return {
    async *follow(agentIds, reach, signal) {
      if (closed) throw stopping();
      const bell = createBell();
      const watcher: Watcher = { followed: await noteTargets(agentIds, reach), wake: bell.ring };
      signal.addEventListener("abort", bell.ring, { once: true });
      let last: WatchAppliedResponse | undefined;
      try {
        while (!signal.aborted) {
          if (closed) throw stopping();
          dropUnreached(watcher, reach);
          const next = progressOf([...watcher.followed.values()]);
          if (last === undefined || !equals(WatchAppliedResponseSchema, last, next)) {
            last = next;
            yield next;
            if (next.behindCount === 0) return;
            // What came while the message was on its way is looked at before the next wait.
            continue;
          }
          join(watcher);
          await bell.rung();
        }
      } finally {
        signal.removeEventListener("abort", bell.ring);
        leave(watcher);
      }
    },
    async close() {
      closed = true;
      for (const { wake } of watchers) wake();
      await task?.stop();
    },
  };
}

/** A grant that is taken away is known from memory, a move to another team from the row. */
function dropUnreached({ followed }: Watcher, reach: Reach): void {
  for (const [id, { run }] of followed) if (!reach.has(id, run.team)) followed.delete(id);
}

function isApplied({ run, target }: Followed): boolean {
  return run.desiredState !== DesiredState.STOPPED && run.observation.link.appliedGeneration >= target;
}

function progressOf(all: readonly Followed[]): WatchAppliedResponse {
  const wanted = all.filter(({ run }) => run.desiredState !== DesiredState.STOPPED);
  const behind = wanted.filter((one) => !isApplied(one));
  return create(WatchAppliedResponseSchema, {
    totalCount: wanted.length,
    appliedCount: wanted.length - behind.length,
    behind: behind.slice(0, MAX_BEHIND).map(toBehind),
    behindCount: behind.length,
    stoppedCount: all.length - wanted.length,
  });
}

function toBehind({ run, target }: Followed): MessageInitShape<typeof AgentBehindSchema> {
  const { link, process } = run.observation;
  // What was said of an older generation says nothing of this one.
  const rejectedReason = link.rejectedGeneration >= target ? link.rejectedReason : "";
  const observation = { link: { ...link, rejectedReason }, process };
  const { state, detail } = observedState({ ...run, generation: target }, observation);
  return {
    agentId: run.id,
    state,
    desiredGeneration: target,
    appliedGeneration: link.appliedGeneration,
    rejectedReason,
    detail,
  };
}

function stopping(): Error {
  return unavailable("GATEWAY_STOPPING", "the gateway is stopping", {
    hint: "Watch again; another gateway or the next start answers.",
  });
}

import { unavailable } from "@openhermit/errors";
import type { Database } from "@openhermit/postgres";
import { createPeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { readDirectory, type DirectoryEntry } from "./agent-directory-store.ts";

/** All agents in memory, so that a turn asks no database whether its agent runs. */
export interface AgentDirectory {
  /** Throws unavailable as long as the agents were never read. */
  get(id: string): DirectoryEntry | undefined;
  /** In the order of their ids; empty as long as the agents were never read. */
  all(): readonly DirectoryEntry[];
  /** The team of an agent, or of a deleted one that a team owned. Throws unavailable as long as the agents were never read. */
  teamOf(id: string): string | undefined;
  /** The ids of all agents and of the deleted ones that a team owned. Throws unavailable like `get`. */
  ownedIds(): readonly string[];
  /** Reads soon. */
  poke(): void;
  /** Resolves when a reading that began after this call has ended. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}

/** A safety net: changes are announced. */
const PERIOD_MS = 30_000;

/** Reads the agents now, when poked, and every 30 s. */
export function createAgentDirectory({ database, log }: { database: Database; log: Log }): AgentDirectory {
  let entries: ReadonlyMap<string, DirectoryEntry> | undefined;
  let retired: ReadonlyMap<string, string> = new Map();
  const task = createPeriodicTask({
    name: "read-agents",
    periodMs: PERIOD_MS,
    async run() {
      const read = await readDirectory(database);
      entries = new Map(read.agents.map((entry) => [entry.id, entry]));
      ({ retired } = read);
    },
    onError: (error) => log.debug({ err: error }, "agents not read"),
  });

  function known(): ReadonlyMap<string, DirectoryEntry> {
    if (entries !== undefined) return entries;
    throw unavailable(
      "FLEET_NOT_READ",
      "the gateway has not read its agents yet: it has just started, or its database is away",
      {
        hint: "Try again in a moment; the gateway's health says when the database is back.",
      },
    );
  }

  return {
    get: (id) => known().get(id),
    teamOf: (id) => known().get(id)?.team ?? retired.get(id),
    ownedIds: () => [...known().keys(), ...retired.keys()],
    all: () => [...(entries?.values() ?? [])],
    poke: task.poke,
    refresh: task.runNow,
    stop: task.stop,
  };
}

import type { Database } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import type { LiveTurns } from "../live-turns.ts";
import { listDisowned, renewAndFindLost } from "../recovery-store.ts";
import type { Serial } from "../serial.ts";
import type { SessionsPorts } from "../sessions-ports.ts";
import type { SessionsTiming } from "../timing.ts";
import { LOSS_ERRORS, type TurnDispatcher } from "../turn-dispatcher.ts";

/** Keeps what this gateway owns, and finds what nobody owns any more. */
export interface RecoverLostTurns {
  run(): Promise<void>;
  /** A run failed: who was seen when says nothing for a while. */
  failed(): void;
  /** Whether the database was there for long enough that every living gateway has renewed what it owns. */
  mayJudge(): boolean;
}

/**
 * Creates the task. Each run makes overdue offers again, renews what this gateway owns, takes turns from gateways that have
 * not been seen for `lostMs`, and drops turns from memory that others have taken over.
 */
export function createRecoverLostTurns(options: {
  database: Database;
  gatewayId: string;
  ports: Pick<SessionsPorts, "hasLink">;
  dispatcher: TurnDispatcher;
  live: LiveTurns;
  serial: Serial;
  timing: SessionsTiming;
  /** Reads turns that are no longer in hand. */
  refresh(turnIds: readonly string[]): void;
  now(): number;
  log: Log;
}): RecoverLostTurns {
  const { database, gatewayId, ports, dispatcher, live, serial, timing, now, log } = options;
  let healthySince: number | undefined;

  const mayJudge = (): boolean => healthySince !== undefined && now() - healthySince >= timing.lostMs;

  const renewAndRecover = async (): Promise<void> => {
    const linkedAgentIds = [...live.agentIds()].filter((agentId) => ports.hasLink(agentId)).toSorted();
    const lost = await renewAndFindLost(database, {
      gatewayId,
      linkedAgentIds,
      knownTurnIds: [...live.ids(), ...dispatcher.sendingIds()],
      // An owner is seen once in a period, so it may have had its link for a period after that.
      lostMs: mayJudge() ? timing.lostMs + timing.recoverPeriodMs : undefined,
      strayMs: timing.strayMs,
      errors: LOSS_ERRORS,
    });
    for (const { turn } of lost) {
      log.warn({ turn_id: turn.id, agent_id: turn.agentId, state: turn.state }, "turn had lost its owner");
    }
    dispatcher.changed(lost);
  };

  /** An end that is stored and not yet shown looks the same for a moment, so one finding is not enough. */
  const dropDisowned = async (): Promise<void> => {
    if (live.size === 0) return;
    const disowned = new Set(await listDisowned(database, gatewayId, live.ids()));
    const dropped: string[] = [];
    for (const turn of live.all()) {
      if (turn.suspect && disowned.has(turn.turnId)) dropped.push(turn.turnId);
      turn.suspect = disowned.has(turn.turnId);
    }
    if (dropped.length > 0) options.refresh(dropped);
  };

  return {
    async run() {
      await dispatcher.repeatOverdue();
      await serial(renewAndRecover);
      await dropDisowned();
      healthySince ??= now();
    },
    failed() {
      healthySince = undefined;
    },
    mayJudge,
  };
}

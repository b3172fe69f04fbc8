import { isUuid } from "@openhermit/ids";
import type { Database } from "@openhermit/postgres";
import type { LedgerTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";
import { adoptTurns, lockTurnsForAttach, loseTurns, type AttachedTurn } from "./recovery-store.ts";
import type { Serial } from "./serial.ts";
import type { HostedAgents, ReconciledTurns, SessionsPorts } from "./sessions-ports.ts";
import { LOSS_ERRORS, type TurnDispatcher } from "./turn-dispatcher.ts";
import { isEnd, judgeOnAttach } from "./turn.ts";

/** Compares the turns of a ledger with the stored ones when a sidecar attaches. */
export type TurnRecovery = (link: HostedAgents, ledgerTurns: readonly LedgerTurn[]) => Promise<ReconciledTurns>;

/** What is to be done with the turns that an attach concerns. */
interface AttachPlan {
  readonly adopt: string[];
  readonly lose: string[];
  readonly dead: string[];
  readonly foreign: string[];
}

/** Creates the recovery. */
export function createTurnRecovery(options: {
  database: Database;
  gatewayId: string;
  ports: Pick<SessionsPorts, "hasLink">;
  dispatcher: Pick<TurnDispatcher, "attaching" | "adopt" | "changed">;
  serial: Serial;
  log: Log;
}): TurnRecovery {
  const { database, gatewayId, ports, dispatcher, serial, log } = options;
  return ({ sidecarId, agentIds }, ledgerTurns) => {
    dispatcher.attaching(agentIds);
    const ledger = new Map(ledgerTurns.map(({ turnId, attempt }) => [turnId, attempt]));
    return serial(async () => {
      const linked = new Set(agentIds.filter((agentId) => ports.hasLink(agentId)));
      const { plan, adopted, lost } = await database.transaction(async (tx) => {
        const stored = await lockTurnsForAttach(tx, agentIds, [...ledger.keys()].filter(isUuid));
        const made = planAttach(stored, new Set(agentIds), ledger, linked);
        return {
          plan: made,
          lost: made.lose.length > 0 ? await loseTurns(tx, made.lose, LOSS_ERRORS) : [],
          adopted: made.adopt.length > 0 ? await adoptTurns(tx, gatewayId, made.adopt) : [],
        };
      });
      dispatcher.changed(lost);
      dispatcher.adopt(adopted);
      const counts = { adopted: adopted.length, lost: lost.length, dead: plan.dead.length };
      if (counts.adopted + counts.lost + counts.dead > 0) {
        log.info({ sidecar_id: sidecarId, ...counts }, "turns of an attached sidecar reconciled");
      }
      return { deadTurnIds: plan.dead, foreignTurnIds: plan.foreign };
    });
  };
}

/** Decides about all turns; see judgeOnAttach for each. */
function planAttach(
  stored: readonly AttachedTurn[],
  hosted: ReadonlySet<string>,
  ledger: ReadonlyMap<string, number>,
  linked: ReadonlySet<string>,
): AttachPlan {
  const plan: AttachPlan = { adopt: [], lose: [], dead: [], foreign: [] };
  const unsettled = new Set(ledger.keys());
  const busySessions = new Set<string>();
  for (const { record, sessionBusy } of stored) {
    const { id, agentId, sessionId, state, attempt } = record.turn;
    if (!hosted.has(agentId)) {
      plan.foreign.push(id);
      unsettled.delete(id);
      continue;
    }
    if (isEnd(state)) continue;
    const busy = sessionBusy || busySessions.has(sessionId);
    const verdict = judgeOnAttach({ state, attempt }, ledger.get(id), busy, linked.has(agentId));
    if (verdict === "keep") continue;
    plan[verdict].push(id);
    if (verdict === "lose") continue;
    unsettled.delete(id);
    if (state === TurnState.QUEUED) busySessions.add(sessionId);
  }
  plan.dead.push(...unsettled);
  return plan;
}

import { HealthState } from "@openhermit/protocol/health/v1/health";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { LinkStatus } from "../link/link.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { SharedHealth } from "./health-reporter.ts";

/** How link, ledger and outbox are. A detail says nothing that changes all the time, so that a report is sent only when it matters. */
export function sharedHealth(link: LinkStatus, ledger: Ledger, outbox: Outbox): SharedHealth[] {
  const problem = ledger.problem();
  return [
    { name: "link", state: link.attached ? HealthState.OK : HealthState.DOWN, detail: link.detail },
    {
      name: "ledger",
      state: problem === undefined ? HealthState.OK : HealthState.DOWN,
      detail: problem === undefined ? "" : `${problem.message}; turns can't be accepted until it can be written again`,
    },
    { name: "outbox", ...OUTBOX[outbox.level()] },
  ];
}

const OUTBOX: Record<ReturnType<Outbox["level"]>, { state: HealthState; detail: string }> = {
  ok: { state: HealthState.OK, detail: "" },
  tight: {
    state: HealthState.DEGRADED,
    detail: "the outbox is over 90 % of its bound: text is not streamed, and new turns are refused at 100 %",
  },
  full: {
    state: HealthState.DOWN,
    detail: "the outbox has reached its bound: new turns are refused until the gateway has taken what waits",
  },
};

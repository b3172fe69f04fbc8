import { Code } from "@connectrpc/connect";
import type { ContextValues } from "@connectrpc/connect";
import type { Denial } from "@openhermit/access-service";
import { Audience } from "@openhermit/protocol/common/v1/access";

import { failureOf } from "../rpc/connect-error.ts";
import type { AccessRule } from "./access-rules.ts";
import { callAccessKey } from "./call-access.ts";
import { actorOf } from "./caller.ts";

// What the selector of a method names; the things of all other resources are called as their resource without its "s".
const AGENTS = new Set(["agents", "sessions", "activity", "health", "grants"]);

/** A call as the audit trail keeps it when it was denied; undefined for a failure that is none. */
export function denialOf(
  call: { values: ContextValues; method: string; rule: AccessRule | undefined },
  thrown: unknown,
): Denial | undefined {
  const { code, reason } = failureOf(thrown);
  const access = call.values.get(callAccessKey);
  const refused = code === Code.NotFound ? access?.reach.refused() : undefined;
  if (code !== Code.Unauthenticated && code !== Code.PermissionDenied && refused === undefined) {
    return undefined;
  }
  return {
    actor: actorOf(call),
    action: call.method,
    ...targetOf(call.rule, access?.targetId ?? "", refused),
    reason,
  };
}

function targetOf(
  rule: AccessRule | undefined,
  targetId: string,
  refused: string | undefined,
): Pick<Denial, "targetType" | "targetId"> {
  if (refused !== undefined) {
    return { targetType: "agent", targetId: refused };
  }
  if (rule?.audience !== Audience.PRINCIPAL || targetId === "") {
    return { targetType: "", targetId: "" };
  }
  return { targetType: AGENTS.has(rule.resource) ? "agent" : rule.resource.replace(/s$/, ""), targetId };
}

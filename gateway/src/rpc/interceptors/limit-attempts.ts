import type { Interceptor } from "@connectrpc/connect";
import { Audience } from "@openhermit/protocol/common/v1/access";

import type { AccessRules } from "../../access/access-rules.ts";
import { attemptKind, isFailedAttempt } from "../../access/attempt-kinds.ts";
import type { AttemptLimits } from "../../access/attempt-limits.ts";
import { peerKey } from "../call-context.ts";

/** Bounds how often one address may fail at the methods that need no credential: they check a code, a password, a key. */
export function limitAttempts(rules: AccessRules, limits: AttemptLimits): Interceptor {
  return (next) => (request) => {
    const kind = rules.of(request.method)?.audience === Audience.PUBLIC ? attemptKind(request.method) : undefined;
    return kind === undefined
      ? next(request)
      : limits.attempt(kind, request.contextValues.get(peerKey), () => next(request), isFailedAttempt);
  };
}

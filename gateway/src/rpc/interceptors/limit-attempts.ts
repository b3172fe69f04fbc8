import type { Interceptor } from "@connectrpc/connect";
import { Audience } from "@openhermit/protocol/common/v1/access";

import type { AccessRules } from "../../access/access-rules.ts";
import { attemptKind, isFailedAttempt } from "../../access/attempt-kinds.ts";
import type { AttemptLimits } from "../../access/attempt-limits.ts";
import { peerKey } from "../call-context.ts";

/**
 * Bounds how often one address may fail at the methods that need no credential. They check what nobody guesses, a code or a key:
 * what is right is never refused for what others at the address tried. All sidecars of a host share one.
 */
export function limitAttempts(rules: AccessRules, limits: Pick<AttemptLimits, "admit" | "failed">): Interceptor {
  return (next) => (request) => {
    if (rules.of(request.method)?.audience !== Audience.PUBLIC) return next(request);
    return next(request).catch((error: unknown) => {
      const kind = isFailedAttempt(error) ? attemptKind(request.method) : undefined;
      if (kind === undefined) throw error;
      const address = request.contextValues.get(peerKey);
      const limited = limits.admit(kind, address);
      limits.failed(kind, address);
      throw limited ?? error;
    });
  };
}

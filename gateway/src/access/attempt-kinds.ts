import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Health } from "@openhermit/protocol/grpc/health";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";

import { failureOf } from "../rpc/connect-error.ts";
import type { AttemptKind } from "./attempt-limits.ts";

// A public method that is not named here checks a code. Its failures are no guesses of passwords, and lock none.
const KINDS = new Map<DescMethod, AttemptKind | undefined>([
  [EnrollmentService.method.join, "join"],
  [EnrollmentService.method.issueToken, "join"],
  // They check nothing.
  [EnrollmentService.method.getNonce, undefined],
  [Health.method.check, undefined],
]);

/** As what the calls of a public method are limited; undefined: not at all. */
export function attemptKind(method: DescMethod): AttemptKind | undefined {
  return KINDS.has(method) ? KINDS.get(method) : "setup";
}

/** Whether what was thrown says that somebody tried what is not theirs. A nonce grows too old without anybody's fault. */
export function isFailedAttempt(thrown: unknown): boolean {
  const { code, reason } = failureOf(thrown);
  return (code === Code.Unauthenticated || code === Code.PermissionDenied) && reason !== "NONCE_INVALID";
}

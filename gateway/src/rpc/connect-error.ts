import { Code, ConnectError } from "@connectrpc/connect";
import { MeshError, type ErrorCode } from "@openhermit/errors";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import type { Log } from "@openhermit/telemetry";

const CODES: Readonly<Record<ErrorCode, Code>> = {
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  invalid_argument: Code.InvalidArgument,
  failed_precondition: Code.FailedPrecondition,
  conflict: Code.Aborted,
  permission_denied: Code.PermissionDenied,
  unauthenticated: Code.Unauthenticated,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
};

/** What is known of the call that failed. */
export interface FailedCall {
  requestId: string;
  /** `openhermit.fleet.v1.FleetService/GetAgent`. */
  method: string;
  log: Log;
}

/**
 * What the caller is told of a failure. A MeshError says its sentence, with an ErrorDetail for programs; an error of
 * Connect itself (a deadline, a size, a cancelled call) stays as it is, with the same detail; everything else is
 * logged and reaches the caller as an internal error with nothing but the request's id.
 */
export function toConnectError(thrown: unknown, call: FailedCall): ConnectError {
  const { requestId, method, log } = call;
  if (thrown instanceof MeshError) {
    if (thrown.cause !== undefined) {
      log.warn({ err: thrown, request_id: requestId, method }, "call failed with a cause");
    }
    return new ConnectError(
      thrown.message,
      CODES[thrown.code],
      undefined,
      [
        {
          desc: ErrorDetailSchema,
          value: { reason: thrown.reason, hint: thrown.hint, fields: { ...thrown.fields }, requestId },
        },
      ],
      thrown,
    );
  }
  const known = thrown instanceof ConnectError ? thrown : abortError(thrown);
  if (known !== undefined && known.code !== Code.Internal && known.code !== Code.Unknown) {
    completeDetail(known, requestId);
    return known;
  }
  log.error({ err: thrown, request_id: requestId, method }, "call failed");
  return new ConnectError(
    "something went wrong inside the gateway",
    Code.Internal,
    undefined,
    [
      {
        desc: ErrorDetailSchema,
        value: { reason: "INTERNAL", hint: "look for request_id in the gateway's log", fields: {}, requestId },
      },
    ],
    thrown,
  );
}

/** The code and the reason of what was thrown, as the caller is told them. */
export function failureOf(thrown: unknown): { code: Code; reason: string } {
  if (thrown instanceof MeshError) {
    return { code: CODES[thrown.code], reason: thrown.reason };
  }
  const { code, details } = ConnectError.from(thrown);
  for (const detail of details) {
    if ("desc" in detail && detail.desc.typeName === ErrorDetailSchema.typeName) {
      const { reason } = detail.value as { reason?: string };
      return { code, reason: reason ?? reasonOf(code) };
    }
  }
  return { code, reason: reasonOf(code) };
}

/** `DEADLINE_EXCEEDED` for Code.DeadlineExceeded. */
export function reasonOf(code: Code): string {
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

// A service that throws a ConnectError, for a detail of its own, need not know the request's id.
function completeDetail(error: ConnectError, requestId: string): void {
  for (const detail of error.details) {
    if ("desc" in detail && detail.desc.typeName === ErrorDetailSchema.typeName) {
      Object.assign(detail.value, { requestId });
      return;
    }
  }
  const value = { reason: reasonOf(error.code), hint: "", fields: {}, requestId };
  error.details.push({ desc: ErrorDetailSchema, value });
}

function abortError(thrown: unknown): ConnectError | undefined {
  return thrown instanceof Error && (thrown.name === "AbortError" || thrown.name === "TimeoutError")
    ? new ConnectError("the call was cancelled", Code.Canceled, undefined, undefined, thrown)
    : undefined;
}

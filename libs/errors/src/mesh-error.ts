/**
 * The closed set of errors a caller can be told about. Everything else that is thrown is a defect
 * or a fault of the surroundings, and reaches the caller as an internal error without its text.
 */
export type ErrorCode =
  | "not_found"
  | "already_exists"
  | "invalid_argument"
  | "failed_precondition"
  | "conflict"
  | "permission_denied"
  | "unauthenticated"
  | "resource_exhausted"
  | "unavailable";

/** What an error carries besides its sentence. */
export interface ErrorDetails {
  /** What to do next, one sentence. */
  hint?: string;
  /** What the error is about, for example `{ agent_id: "one" }`. Never a secret. */
  fields?: Record<string, string>;
  /** The error beneath. Logged, never sent. */
  cause?: unknown;
}

/** An error with a sentence for a person and a stable reason for programs. */
export class MeshError extends Error {
  override readonly name = "MeshError";
  readonly code: ErrorCode;
  /** A stable name in upper snake case, listed in docs/errors.md. */
  readonly reason: string;
  readonly hint: string;
  readonly fields: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, reason: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.reason = reason;
    this.hint = details.hint ?? "";
    this.fields = details.fields ?? {};
  }
}

type Factory = (reason: string, message: string, details?: ErrorDetails) => MeshError;

const factory =
  (code: ErrorCode): Factory =>
  (reason, message, details) =>
    new MeshError(code, reason, message, details);

/** The named thing does not exist, or the caller may not see it. */
export const notFound: Factory = factory("not_found");
/** A thing of that name exists already. */
export const alreadyExists: Factory = factory("already_exists");
/** The request is wrong whatever the state of the fleet. */
export const invalidArgument: Factory = factory("invalid_argument");
/** The request is right but the state of the fleet does not allow it now. */
export const failedPrecondition: Factory = factory("failed_precondition");
/** Somebody else changed the thing in between; read it again and repeat. */
export const conflict: Factory = factory("conflict");
/** The caller is known and lacks a right. */
export const permissionDenied: Factory = factory("permission_denied");
/** The caller has no valid credential. */
export const unauthenticated: Factory = factory("unauthenticated");
/** A bound is reached: a queue, a size, a rate. */
export const resourceExhausted: Factory = factory("resource_exhausted");
/** A part the request needs is away; the same request may succeed later. */
export const unavailable: Factory = factory("unavailable");

/** What was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

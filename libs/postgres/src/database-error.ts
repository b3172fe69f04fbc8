import { invalidArgument, MeshError, toError, unavailable } from "@openhermit/errors";
import { DatabaseError } from "pg";

/** Socket and name errors: the server could not be reached, or the connection broke. */
const SOCKET_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENOENT",
]);

/** What pg says without a code. */
const BROKEN = /^(Connection terminated|Client has encountered a connection error|Client was closed|timeout expired)/;

/** PostgreSQL: class 08, shutting down, crashed, starting up, too many connections, wrong password or database. */
const SERVER_AWAY = /^(08...|57P0[1235]|53300|28...|3D000)$/;

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** Whether the error means that the server is away or the connection broke, so that a later try may succeed. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isConnectionError);
  const code = codeOf(error);
  return SOCKET_CODES.has(code) || SERVER_AWAY.test(code) || (error instanceof Error && BROKEN.test(error.message));
}

/** Whether a transaction failed only because of others, so that the same work may succeed now. */
export function isRetryable(error: unknown): boolean {
  const code = codeOf(error);
  return code === "40001" || code === "40P01";
}

/**
 * Whether the error says that a unique index or primary key refused a row.
 *
 * @param constraint the index; without it any.
 */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    error instanceof DatabaseError &&
    error.code === "23505" &&
    (constraint === undefined || error.constraint === constraint)
  );
}

/** What is wrong, without the details of a driver: never holds a password. */
export function describeFault(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return toError(first).message || "unknown fault";
}

/** The refusal of a query while the database is away. */
export function databaseUnavailable(detail: string, cause?: unknown): MeshError {
  return unavailable("DATABASE_UNAVAILABLE", `the database is away (${detail})`, {
    hint: "The gateway reconnects by itself; check that PostgreSQL runs, then try again.",
    cause,
  });
}

/** Turns faults of the surroundings into errors that a caller can be told; leaves the rest as it is. */
export function toCallerError(error: unknown): unknown {
  if (error instanceof MeshError) return error;
  if (isConnectionError(error)) return databaseUnavailable(describeFault(error), error);
  if (error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect")) {
    return unavailable("DATABASE_BUSY", "no connection to the database became free in time", {
      hint: "The gateway is overloaded; try again later.",
      cause: error,
    });
  }
  switch (codeOf(error)) {
    case "57014":
      return unavailable("DATABASE_TIMEOUT", "the database did not answer in time", {
        hint: "Ask for less at once, or try again later.",
        cause: error,
      });
    case "53100":
      return unavailable("DATABASE_FULL", "the disk of the database is full", {
        hint: "Free some space; the gateway goes on by itself.",
        cause: error,
      });
    case "22P05":
    case "22021":
      return invalidArgument("TEXT_NOT_STORABLE", "a text holds a character that can't be stored: NUL, U+0000", {
        hint: "Remove it, then try again; nothing was changed.",
        cause: error,
      });
    case "25006":
      return unavailable("DATABASE_READ_ONLY", "the database accepts no writes at the moment", {
        hint: "Point the gateway at the primary server.",
        cause: error,
      });
    default:
      return error;
  }
}

import { failedPrecondition, MeshError, resourceExhausted, unavailable } from "@openhermit/errors";

// Result codes of SQLite, https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** What SQLite threw, as an error for a person; everything else as it is. */
export function ledgerError(error: unknown, path: string): unknown {
  if (error instanceof MeshError || !(error instanceof Error)) return error;
  if (!("errcode" in error) || typeof error.errcode !== "number") return error;
  const details = { cause: error, fields: { path } };
  switch (error.errcode & 0xff) {
    case SQLITE_BUSY:
      return failedPrecondition("SIDECAR_ALREADY_RUNNING", `another process holds the sidecar's ledger ${path}`, {
        ...details,
        hint: "a home belongs to one sidecar: stop the other one (see sidecar.pid beside it) or use another home",
      });
    case SQLITE_FULL:
      return resourceExhausted("LEDGER_DISK_FULL", "the disk that holds the sidecar's ledger is full", {
        ...details,
        hint: "free some space; the sidecar goes on by itself",
      });
    case SQLITE_IOERR:
      return unavailable("LEDGER_UNAVAILABLE", `the sidecar's ledger ${path} can't be read or written`, {
        ...details,
        hint: "look at the disk",
      });
    default:
      return unavailable("LEDGER_UNAVAILABLE", `the sidecar's ledger ${path} can't be used: ${error.message}`, {
        ...details,
        hint: "if the file is damaged, move it away: the sidecar begins with an empty one",
      });
  }
}

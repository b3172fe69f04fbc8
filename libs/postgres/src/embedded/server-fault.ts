import { failedPrecondition, MeshError, toError } from "@openhermit/errors";

const DATABASE_URL_HINT = "Choose another home with --home, or name a database with --database-url.";

/** An error for a person from what a program of PostgreSQL, or the file system, said about a place. */
export function serverFault(place: string, output: string, cause?: unknown): MeshError {
  if (/No space left on device|ENOSPC/.test(output)) {
    return failedPrecondition("DISK_FULL", `the disk is full: the embedded database in ${place} cannot be written`, {
      hint: "Free some space (a new database needs about 60 MB), then start again.",
      cause,
    });
  }
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined || /Permission denied|Read-only file system/.test(output)) {
    return failedPrecondition(
      "HOME_NOT_WRITABLE",
      `the embedded database cannot be written in ${place} (${code ?? "permission denied"})`,
      { hint: DATABASE_URL_HINT, cause: cause ?? new Error(output) },
    );
  }
  const last = output.trim().split("\n").slice(-3).join("; ");
  return failedPrecondition("EMBEDDED_POSTGRES_FAILED", `the embedded PostgreSQL in ${place} did not start: ${last}`, {
    hint: DATABASE_URL_HINT,
    cause,
  });
}

/** Runs work on files; its faults become {@link serverFault}s. */
export async function atPlace<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw serverFault(place, toError(error).message, error);
  }
}

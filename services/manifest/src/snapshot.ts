import type { Database, Queryable } from "@openhermit/postgres";
import { takeSnapshot } from "./manifest-store.ts";

/** Carries a result out of a transaction that is rolled back. */
class Seen<T> extends Error {
  readonly value: T;
  constructor(value: T) {
    super("the snapshot has been read");
    this.value = value;
  }
}

/**
 * Runs work that sees one moment of the database, and keeps nothing that it writes. Not read-only: domains lock rows while
 * they find out what they would do.
 */
export async function inSnapshot<T>(database: Database, work: (tx: Queryable) => Promise<T>): Promise<T> {
  let seen: Seen<T> | undefined;
  try {
    await database.transaction(async (tx) => {
      await takeSnapshot(tx);
      seen = new Seen(await work(tx));
      throw seen;
    });
  } catch (error) {
    if (error !== seen) throw error;
  }
  return (seen as Seen<T>).value;
}

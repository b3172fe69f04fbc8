import type { Database, Queryable } from "@openhermit/postgres";
import { takeSnapshot } from "./manifest-store.ts";

/** Runs work that sees one moment of the database and writes nothing, locks neither: it waits for nobody. */
export async function inSnapshot<T>(database: Database, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return await database.transaction(async (tx) => {
    await takeSnapshot(tx);
    return await work(tx);
  });
}

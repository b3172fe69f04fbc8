import type { Database } from "@openhermit/postgres";

/** A database whose answers can be held back, as on a slow network: the statement is done, and nobody knows yet. */
export interface HeldAnswers {
  readonly database: Database;
  /** From now on answers of statements with this text in them are held back. Returns how to let them go, and what waits. */
  hold(text: string): { release(): void; held(): number };
}

/** Wraps a database. */
export function heldAnswers(database: Database): HeldAnswers {
  let gate: { text: string; opened: Promise<void>; count: number } | undefined;
  return {
    database: {
      ...database,
      // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Queryable.query
      async query<Row>(statement: Parameters<Database["query"]>[0]) {
        const at = gate !== undefined && statement.text.includes(gate.text) ? gate : undefined;
        const answer = await database.query<Row>(statement);
        if (at !== undefined) {
          at.count += 1;
          await at.opened;
        }
        return answer;
      },
    },
    hold(text) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const made = { text, opened: promise, count: 0 };
      gate = made;
      return {
        held: () => made.count,
        release() {
          gate = undefined;
          resolve();
        },
      };
    },
  };
}

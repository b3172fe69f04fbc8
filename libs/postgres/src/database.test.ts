import { testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "./index.ts";
let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase([]);
});
afterAll(() => db.drop());
test("smoke", async () => {
  expect((await db.database.query(sql`SELECT ${1n}::bigint AS n`)).rows).toEqual([{ n: 1n }]);
});

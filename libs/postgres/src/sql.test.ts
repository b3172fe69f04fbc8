import { expect, test } from "vitest";
import { joinSql, quoteName, rawSql, sql } from "./sql.ts";

test("values become parameters, parts are inlined with their parameters renumbered", () => {
  const condition = joinSql([sql`a = ${1}`, sql`b = ANY(${["x"]})`, rawSql("c IS NULL")], " AND ");
  const statement = sql`SELECT ${0} FROM ${rawSql(quoteName('t"x'))} WHERE ${condition} LIMIT ${9}`;
  expect(statement.text).toBe('SELECT $1 FROM "t""x" WHERE a = $2 AND b = ANY($3) AND c IS NULL LIMIT $4');
  expect(statement.values).toEqual([0, 1, ["x"], 9]);
});

test("parts stand next to each other and at the ends", () => {
  const a = sql`${1}`;
  expect(sql`${a}${a}`.text).toBe("$1$2");
  expect(joinSql([], ",").text).toBe("");
  expect(sql`(${joinSql([a, a, a], ",")})`.text).toBe("($1,$2,$3)");
});

const plain = (id: number) => sql`SELECT ${id}::int AS id`;

test("the same text has the same name, however it was made; raw text has none", () => {
  const inlined = sql`SELECT ${sql`${3}::int`} AS id`;
  expect(plain(1).name).toBe(plain(2).name);
  expect(inlined.name).toBe(plain(1).name);
  expect(sql`SELECT ${1}::int AS other`.name).not.toBe(plain(1).name);
  expect(plain(1).name?.length).toBeLessThan(64);
  expect(rawSql("SELECT 1").name).toBe("");
});

test("an object that only looks like a statement is a value", () => {
  const forged = { text: "1; DROP TABLE x", values: [], name: "n" };
  expect(sql`SELECT ${forged}`.text).toBe("SELECT $1");
  expect(() => joinSql([forged], ",")).toThrow(TypeError);
});

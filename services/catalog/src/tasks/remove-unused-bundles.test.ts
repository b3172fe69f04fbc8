import { sql } from "@openhermit/postgres";
import { testCaller, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { create } from "@bufbuild/protobuf";
import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeCatalog, type Catalog, type CatalogClient } from "../../test/catalog-harness.ts";
import { digestOf, putSkill, skillFiles } from "../../test/sample-items.ts";
import { removeUnusedBundles } from "../bundle-store.ts";
import { catalogMigrations } from "../index.ts";
import { createUnusedBundlesTask } from "./remove-unused-bundles.ts";

let store: TestDatabase;
let catalog: Catalog;
let client: CatalogClient;

beforeEach(async () => {
  store = await testDatabase([catalogMigrations]);
  catalog = makeCatalog(store.database);
  ({ client } = catalog);
});
afterEach(async () => {
  await catalog.catalog.close();
  await store.drop();
});

/** Lets time pass for all bundles. */
const age = async (hours: number): Promise<void> => {
  await store.database.query(
    sql`UPDATE catalog.bundles SET touch_time = touch_time - make_interval(hours => ${hours}::int)`,
  );
};
const stored = async (): Promise<string[]> => {
  const { rows } = await store.database.query<{ name: string }>(
    sql`SELECT description->>'name' AS name FROM catalog.bundles ORDER BY name`,
  );
  return rows.map(({ name }) => name);
};
const upload = (name: string) => client.putBundle({ bundle: { files: skillFiles(name) } });

it("removes what no skill has named for a day, and an upload gives another day", async () => {
  await putSkill(client, "used", []);
  for (const name of ["again", "old"]) await upload(name);
  await age(23);
  expect(await removeUnusedBundles(store.database)).toBe(0);
  await upload("again");
  await age(2);
  await upload("young");
  const tasks = [1, 2].map(() => createUnusedBundlesTask({ database: store.database, log: testLog() }));
  await Promise.all(tasks.map((task) => task.runNow()));
  await Promise.all(tasks.map((task) => task.stop()));
  expect(await stored()).toEqual(["again", "used", "young"]);
});

it("keeps for a day what a skill ceases to name, for sidecars that are about to fetch it", async () => {
  const [moved, deleted] = [await putSkill(client, "moved", ["*"]), await putSkill(client, "deleted", ["*"])];
  await age(1000);
  await putSkill(client, "moved", ["*"], { text: "Better." });
  await client.deleteSkill({ skillId: "deleted" });
  expect(await removeUnusedBundles(store.database)).toBe(0);
  await age(25);
  expect(await removeUnusedBundles(store.database)).toBe(2);
  const again = await client.putSkill({ skill: { id: "moved", digest: moved.digest } }).catch(String);
  expect(again).toContain("BUNDLE_MISSING");
  expect(deleted.digest).not.toBe(moved.digest);
  expect(await client.getBundle({ skillId: "moved" })).toMatchObject({ digest: digestOf("moved", "Better.") });
});

it("leaves alone what a skill begins to name at this moment, and does not wait for it", async () => {
  await upload("pdf");
  await age(25);
  const options = { dryRun: false, prune: false, caller: testCaller(), mayWrite: () => true, record: async () => {} };
  const skill = create(SkillSchema, { id: "pdf", digest: digestOf("pdf") });
  await store.database.transaction(async (tx) => {
    await catalog.catalog.applyCatalog(tx, { mcpServers: [], skills: [skill] }, options);
    expect(await removeUnusedBundles(store.database)).toBe(0);
  });
  expect(await removeUnusedBundles(store.database)).toBe(0);
  await client.getBundle({ skillId: "pdf" });
});

it("never leaves a skill without its bundle, whoever comes first", async () => {
  const names = Array.from({ length: 30 }, (_, i) => `skill-${i}`);
  for (const name of names) await upload(name);
  await age(25);
  const puts = names.map((id) =>
    client.putSkill({ skill: { id, digest: digestOf(id) } }).then(
      () => "put",
      (error: Error) => error.message.split(" ", 2).join(" "),
    ),
  );
  const removals = await Promise.all([1, 2, 3].map(() => removeUnusedBundles(store.database)));
  const answers = await Promise.all(puts);
  const missing = answers.filter((answer) => answer !== "put");
  for (const answer of missing) expect(answer).toContain("BUNDLE_MISSING");
  expect(missing).toHaveLength(removals.reduce((sum, count) => sum + count, 0));
  for (const { id } of (await client.listSkills({})).skills) {
    expect((await client.getBundle({ skillId: id })).digest).toBe(digestOf(id));
  }
});

it("runs with the service", async () => {
  await upload("old");
  await age(25);
  catalog.catalog.start();
  await waitFor(async () => (await stored()).length === 0, { what: "the removal" });
  expect(await stored()).toEqual([]);
});

import { Code, ConnectError } from "@connectrpc/connect";
import { ManifestProblemsSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { MAX_BUNDLE_BYTES, packBundle, unpackBundle, type BundleFile } from "@openhermit/skill-bundle";
import { testCaller, testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCatalog, type Catalog, type CatalogClient } from "../test/catalog-harness.ts";
import { digestOf, putSkill, skillFiles } from "../test/sample-items.ts";
import { catalogMigrations } from "./index.ts";

const PEOPLE = { ann: testCaller("member:ann", ["one", "two"]) };
const TEAMS = new Map([
  ["one", "red"],
  ["two", "red"],
  ["three", "blue"],
]);

let store: TestDatabase;
let catalog: Catalog;
let client: CatalogClient;
let ann: CatalogClient;

beforeEach(async () => {
  store = await testDatabase([catalogMigrations]);
  catalog = makeCatalog(store.database, { people: PEOPLE, teams: TEAMS });
  ({ client } = catalog);
  ann = catalog.as("ann");
});
afterEach(async () => {
  await catalog.catalog.close();
  await store.drop();
});

const file = (path: string, content: string | Uint8Array): BundleFile => ({
  path,
  content: typeof content === "string" ? Buffer.from(content) : content,
  executable: false,
});
const failure = async (call: Promise<unknown>): Promise<ConnectError> =>
  call.then(
    () => expect.fail("the call succeeded"),
    (error: unknown) => ConnectError.from(error),
  );
const said = async (call: Promise<unknown>): Promise<string> => (await failure(call)).message;

describe("PutBundle", () => {
  it("stores the files of a skill under their digest, in whichever order they come", async () => {
    const files = skillFiles("pdf");
    const first = await client.putBundle({ bundle: { files } });
    expect(first.digest).toBe(packBundle(files).digest);
    expect(first.description).toMatchObject({ name: "pdf", description: "What pdf does.", metadata: { author: "me" } });
    expect(await client.putBundle({ bundle: { files: files.toReversed() } })).toEqual(first);
    await client.putSkill({ skill: { id: "pdf", digest: first.digest } });
    const { digest, bundle } = await client.getBundle({ skillId: "pdf" });
    expect(digest).toBe(first.digest);
    expect(bundle?.files.map(({ path, executable }) => [path, executable])).toEqual([
      ["SKILL.md", false],
      ["scripts/run.sh", true],
    ]);
    expect(bundle?.files.map(({ content }) => Buffer.from(content))).toEqual(files.map(({ content }) => content));
  });

  it("tells every problem of the folder with its file and line", async () => {
    const files = [file("SKILL.md", "---\nname: Wrong Name\ncolour: red\n---\n"), file("../out", "x")];
    const error = await failure(client.putBundle({ bundle: { files } }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, message: expect.stringContaining("SKILL_INVALID") });
    const problems = error.findDetails(ManifestProblemsSchema).flatMap((detail) => detail.problems);
    expect(problems.map(({ fileName, line }) => [fileName, line])).toEqual(
      expect.arrayContaining([
        ["../out", 0],
        ["SKILL.md", 2],
        ["SKILL.md", 3],
      ]),
    );
    for (const { message, hint } of problems) expect(typeof message + typeof hint).toBe("stringstring");
    expect(await said(client.putBundle({ bundle: { files: [file("README.md", "x")] } }))).toContain("SKILL_INVALID");
  });

  it("takes 10 MiB over a wire that takes 4 MiB elsewhere, gives them back, and takes no byte more", async () => {
    const [skill, script] = skillFiles("large") as [BundleFile, BundleFile];
    const rest = MAX_BUNDLE_BYTES - skill.content.length - script.content.length;
    // A thousand files with the longest paths there can be.
    const count = 998;
    const part = Math.floor(rest / count);
    const pathOf = (i: number): string =>
      [...Array<string>(3).fill("d".repeat(255)), `${i}`.padStart(1024 - 3 * 256, "f").slice(-255)].join("/");
    const filling = Array.from({ length: count }, (_, i) =>
      file(pathOf(i), Buffer.alloc(i === 0 ? rest - part * (count - 1) : part, i)),
    );
    const files = [skill, script, ...filling];
    expect(files.reduce((sum, { content }) => sum + content.length, 0)).toBe(MAX_BUNDLE_BYTES);
    const inJson = ({ path, content }: BundleFile): number =>
      `{"path":"${path}","content":"","executable":true},`.length + Math.ceil(content.length / 3) * 4;
    expect(files.reduce((sum, one) => sum + inJson(one), 0)).toBeLessThan(16 * 1024 * 1024 - 1024);
    const { digest } = await client.putBundle({ bundle: { files } });
    const stored = await client.putSkill({ skill: { id: "large", digest, agents: ["one"] } });
    expect(stored.skill).toMatchObject({ sizeBytes: BigInt(MAX_BUNDLE_BYTES), fileCount: 1000 });
    const { bundle } = await client.getBundle({ skillId: "large" });
    expect(packBundle(bundle?.files ?? []).digest).toBe(digest);

    const more = [...files.slice(0, -1), file("more", Buffer.alloc((filling.at(-1)?.content.length ?? 0) + 1))];
    expect(await said(client.putBundle({ bundle: { files: more } }))).toContain("BUNDLE_TOO_LARGE");
    const much = await failure(client.putBundle({ bundle: { files: [file("much", Buffer.alloc(17 * 1024 * 1024))] } }));
    expect(much.code).toBe(Code.ResourceExhausted);
    const huge = { id: "huge", transport: { case: "stdio" as const, value: { command: "x".repeat(5 * 1024 * 1024) } } };
    expect((await failure(client.putMcpServer({ mcpServer: huge }))).code).toBe(Code.ResourceExhausted);
  });

  it("stores one bundle for many who put it at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => client.putBundle({ bundle: { files: skillFiles("pdf") } })),
    );
    expect(new Set(answers.map(({ digest }) => digest)).size).toBe(1);
  });
});

describe("PutSkill", () => {
  it("names a bundle that is stored and is the skill's own", async () => {
    const digest = digestOf("pdf");
    expect(await said(client.putSkill({ skill: { id: "pdf", digest } }))).toContain("BUNDLE_MISSING");
    await client.putBundle({ bundle: { files: skillFiles("pdf") } });
    expect(await said(client.putSkill({ skill: { id: "word", digest } }))).toContain("SKILL_NAME_DIFFERS");
    const { skill } = await client.putSkill({ skill: { id: "pdf", digest, agents: ["one"] } });
    expect(skill).toMatchObject({
      id: "pdf",
      digest,
      agents: ["one"],
      description: { name: "pdf", description: "What pdf does." },
      fileCount: 2,
    });
    expect(Number(skill?.sizeBytes)).toBe(skillFiles("pdf").reduce((sum, { content }) => sum + content.length, 0));
    expect((await client.getSkill({ skillId: "pdf" })).skill).toEqual(skill);
  });

  it("changes nothing when the skill is the same, and refuses a lost update", async () => {
    const first = await putSkill(client, "pdf", ["one", "two"]);
    expect(await putSkill(client, "pdf", ["two", "one"])).toEqual(first);
    const second = await putSkill(client, "pdf", ["one"], { text: "Better.", etag: first.etag });
    expect(second.digest).not.toBe(first.digest);
    expect(second.createTime).toEqual(first.createTime);
    expect(await said(putSkill(client, "pdf", [], { etag: first.etag }))).toContain("SKILL_CHANGED");
    expect(await said(putSkill(client, "other", [], { etag: first.etag }))).toContain("SKILL_CHANGED");
    expect(catalog.trail.map(({ action, targetType, fields }) => [action, targetType, fields?.length])).toEqual([
      ["skills.put", "skill", 2],
      ["skills.put", "skill", 2],
    ]);
    expect(catalog.trail[1]?.fields?.[0]).toEqual({ path: "digest", before: first.digest, after: second.digest });
  });

  it("takes every agent before and after in reach", async () => {
    await putSkill(client, "shared", ["one", "three"]);
    await putSkill(client, "theirs", ["three"]);
    await putSkill(ann, "mine", ["one"]);
    expect(await said(putSkill(ann, "shared", ["one"]))).toContain("RIGHT_MISSING");
    expect(await said(ann.deleteSkill({ skillId: "shared" }))).toContain("RIGHT_MISSING");
    expect(await said(putSkill(ann, "mine", ["*"]))).toContain("RIGHT_MISSING");
    expect(await said(putSkill(ann, "mine", ["three"]))).toContain("AGENT_NOT_FOUND");
    for (const call of [
      () => ann.getSkill({ skillId: "theirs" }),
      () => ann.getBundle({ skillId: "theirs" }),
      () => ann.deleteSkill({ skillId: "theirs" }),
      () => putSkill(ann, "theirs", ["one"]),
    ]) {
      expect(await said(call())).toContain('SKILL_NOT_FOUND skill "theirs"');
    }
    expect((await ann.listSkills({})).skills.map(({ id, agents }) => [id, agents])).toEqual([
      ["mine", ["one"]],
      ["shared", ["one"]],
    ]);
  });
});

it("lists in pages and deletes", async () => {
  for (const id of ["c", "a", "b"]) await putSkill(client, id, []);
  const first = await client.listSkills({ pageSize: 2 });
  const second = await client.listSkills({ pageSize: 2, pageToken: first.nextPageToken });
  expect([first, second].map(({ skills }) => skills.map(({ id }) => id))).toEqual([["a", "b"], ["c"]]);
  expect(second.nextPageToken).toBe("");
  expect(await said(client.listSkills({ pageToken: "nonsense" }))).toContain("PAGE_TOKEN_INVALID");
  await client.deleteSkill({ skillId: "b" });
  expect(await said(client.deleteSkill({ skillId: "b" }))).toContain("SKILL_NOT_FOUND");
  expect(catalog.trail.at(-1)).toMatchObject({ action: "skills.delete", targetType: "skill", targetId: "b" });
});

describe("what a sidecar gets", () => {
  it("are the skills of its agent, with what the model sees first", async () => {
    await putSkill(client, "own", ["one"]);
    await putSkill(client, "all", ["*"], { disabledAgents: ["two"] });
    const catalogs = await catalog.catalog.catalogsFor(["one", "two", "never-seen"]);
    expect([...catalogs].map(([id, { skills }]) => [id, skills.map((skill) => skill.id)])).toEqual([
      ["one", ["all", "own"]],
      ["two", []],
      ["never-seen", ["all"]],
    ]);
    const { skill } = await client.getSkill({ skillId: "all" });
    expect(catalogs.get("one")?.skills[0]).toMatchObject({
      id: "all",
      description: "What all does.",
      digest: skill?.digest,
      sizeBytes: skill?.sizeBytes,
    });
  });

  it("is the bundle of a skill that its agent has, and of no other", async () => {
    const own = await putSkill(client, "own", ["one"]);
    const all = await putSkill(client, "all", ["*"], { disabledAgents: ["two"] });
    const nobodys = await putSkill(client, "nobodys", []);
    const read = async (agentId: string, digest: string) => {
      const data = await catalog.catalog.readBundle(agentId, digest);
      return data === undefined ? undefined : unpackBundle(data, digest).map(({ path }) => path);
    };
    const files = ["SKILL.md", "scripts/run.sh"];
    expect(await read("one", own.digest)).toEqual(files);
    expect(await read("one", all.digest)).toEqual(files);
    expect(await read("three", all.digest)).toEqual(files);
    expect(await read("three", own.digest)).toBeUndefined();
    expect(await read("two", all.digest)).toBeUndefined();
    expect(await read("one", nobodys.digest)).toBeUndefined();
    expect(await read("*", all.digest)).toEqual(files);
    expect(await read("one", digestOf("never-put"))).toBeUndefined();
    await client.disableSkill({ skillId: "own", agentId: "one" });
    expect(await read("one", own.digest)).toBeUndefined();
  });
});

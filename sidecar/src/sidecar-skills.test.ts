import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { create } from "@bufbuild/protobuf";
import { SnapshotSkillSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { removeBundle } from "@openhermit/skill-bundle";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { named, testSkill, type TestSkill } from "./skills/test/test-skill.ts";
import { spawnSidecar, type SpawnedSidecar } from "./test/spawn-sidecar.ts";
import { startTestSidecar, type TestSidecar } from "./test/start-test-sidecar.ts";
import { endOf, offlineSnapshot, startTestGateway, type TestGateway } from "./test/test-gateway.ts";

const pdf = testSkill("pdf", { files: { "scripts/run.sh": "#!/bin/sh\n" } });
const pdf2 = testSkill("pdf", { body: "Another way." });
const csv = testSkill("csv");

let home: TemporaryDirectory;
let gateway: TestGateway;
let running: TestSidecar[] = [];

beforeEach(async () => {
  home = await temporaryDirectory();
  gateway = await startTestGateway();
  for (const { digest, data } of [pdf, pdf2, csv]) gateway.bundles.stored.set(digest, data);
});
afterEach(async () => {
  for (const { sidecar } of running) await sidecar.stop(0);
  running = [];
  await gateway.stop();
  await removeBundle(home.path);
});

const start = async (joined = false): Promise<TestSidecar> => {
  const started = await startTestSidecar(gateway, home.path, { real: true, joined });
  running.push(started);
  return started;
};
const snapshotWith = (generation: bigint, skills: TestSkill[], agentId = "one"): Snapshot => ({
  ...offlineSnapshot(generation),
  agentId,
  skills: skills.map((skill) => create(SnapshotSkillSchema, named(skill))),
});
const send = (generation: bigint, skills: TestSkill[], agentId?: string): void =>
  gateway.send({ case: "snapshot", value: snapshotWith(generation, skills, agentId) });
/** What was said of snapshots, as `applied 3` or `rejected 3: why`. */
const answers = (agentId = "one"): string[] =>
  gateway.said.flatMap((message) => {
    if (message.case !== "applied" && message.case !== "rejected") return [];
    const { value } = message;
    if (value.agentId !== agentId) return [];
    return [`${message.case} ${value.generation}${message.case === "rejected" ? `: ${message.value.reason}` : ""}`];
  });
const answered = (beginning: string, agentId?: string): Promise<unknown> =>
  waitFor(() => answers(agentId).some((one) => one.startsWith(beginning)), {
    what: `"${beginning}"`,
    deadlineMs: 30_000,
  });
const say = async (message: string): Promise<string | undefined> => {
  const { turnId } = gateway.runTurn({ message });
  const end = await waitFor(() => endOf(gateway, turnId), { what: `"${message}" to be answered`, deadlineMs: 30_000 });
  expect(end.state).toBe(TurnState.SUCCEEDED);
  return end.answer;
};
const mounted = (agentId: string, ...path: string[]): string =>
  join(home.path, "workspaces", agentId, ".agents", "skills", ...path);
const cached = (): string[] => readdirSync(join(home.path, "skills")).toSorted();
const hexes = (...skills: TestSkill[]): string[] => skills.map(({ digest }) => digest.slice(7)).toSorted();

test("skills reach the next turn, two agents fetch each once, and what nobody names goes away", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [csv, pdf]), snapshotWith(1n, [pdf], "two")];
  await start();
  await answered("applied 1");
  await answered("applied 1", "two");
  expect(gateway.bundles.reads.toSorted()).toEqual([csv.digest, pdf.digest].toSorted());
  expect(await say('use skill with {"name":"pdf"}')).toContain("How to pdf.");
  expect(readFileSync(mounted("two", "pdf", "SKILL.md"), "utf8")).toContain("How to pdf.");

  send(2n, [pdf2]);
  // Sent together with the snapshot: the turn sees it.
  expect(await say('use skill with {"name":"pdf"}')).toContain("Another way.");
  expect(readFileSync(mounted("one", "pdf", "SKILL.md"), "utf8")).toContain("Another way.");
  expect(readFileSync(mounted("two", "pdf", "SKILL.md"), "utf8")).toContain("How to pdf.");
  await waitFor(() => cached().join() === hexes(pdf, pdf2).join(), { what: "the unused one to go" });

  gateway.send({ case: "agentRemoved", value: { $typeName: "openhermit.mesh.v1.AgentRemoved", agentId: "two" } });
  await waitFor(() => cached().join() === hexes(pdf2).join(), { what: "that of the removed agent to go" });
  send(3n, []);
  expect(await say("use skill to say pdf")).toContain("this agent has no tools");
  await waitFor(() => cached().length === 0, { what: "the last one to go" });
  expect(existsSync(mounted("one"))).toBe(false);
});

test.each<["wrong" | "short" | "gone", string]>([
  ["wrong", 'rejected 2: the files of the skill "pdf" can\'t be fetched: the bundle sha256:'],
  ["short", 'rejected 2: the files of the skill "pdf" can\'t be fetched: the bundle sha256:'],
  ["gone", 'rejected 2: the files of the skill "pdf" can\'t be fetched: no agent of the sidecar has this bundle'],
])(
  "a bundle that comes %s rejects the snapshot; the one before goes on, and this one is tried again by itself",
  async (mode, answer) => {
    gateway.script.snapshots = [snapshotWith(1n, [csv])];
    await start();
    await answered("applied 1");
    if (mode === "gone") gateway.bundles.stored.delete(pdf.digest);
    else gateway.bundles.mode = mode;
    gateway.script.snapshots = [snapshotWith(2n, [csv, pdf])];
    send(2n, [csv, pdf]);
    await answered(answer);
    expect(await say("use skill to say pdf")).toContain('There is no skill "pdf". The skills are: csv.');
    expect(existsSync(mounted("one", "pdf"))).toBe(false);
    expect(answers()).not.toContain("applied 2");

    gateway.bundles.mode = "whole";
    gateway.bundles.stored.set(pdf.digest, pdf.data);
    await answered("applied 2");
    expect(await say("use skill to say pdf")).toContain("How to pdf.");
  },
);

test("a connection that is cut in the middle of a bundle delays it, and no more", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [pdf])];
  gateway.bundles.mode = "cut";
  await start();
  await answered("applied 1");
  expect(gateway.hellos.length).toBeGreaterThan(1);
  expect(gateway.bundles.reads.length).toBeGreaterThan(1);
  expect(await say("use skill to say pdf")).toContain("How to pdf.");
});

test("after a new attach the gateway is told what is in force, besides what is rejected", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [csv])];
  await start();
  await answered("applied 1");
  gateway.bundles.stored.delete(pdf.digest);
  gateway.script.snapshots = [snapshotWith(2n, [pdf])];
  gateway.cut();
  await waitFor(() => gateway.hellos.length === 2, { what: "the next attach" });
  await answered("rejected 2");
  expect(answers().slice(1, 3)).toEqual([
    "applied 1",
    expect.stringContaining('rejected 2: the files of the skill "pdf"'),
  ]);
  expect(gateway.hellos[1]?.agents).toMatchObject([{ agentId: "one", generation: 1n }]);
});

test("a newer snapshot does not wait for the files of an older one", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [csv])];
  await start();
  await answered("applied 1");
  gateway.bundles.mode = "never";
  send(2n, [csv, pdf]);
  await waitFor(() => gateway.bundles.reads.includes(pdf.digest), { what: "the fetch" });
  send(3n, [csv]);
  await answered("applied 3");
  expect(answers()).toEqual(["applied 1", "applied 3"]);
});

test("a folder of the user in the way rejects the snapshot, and moving it is all that is needed", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [])];
  await start();
  await answered("applied 1");
  mkdirSync(mounted("one", "pdf"), { recursive: true });
  writeFileSync(mounted("one", "pdf", "SKILL.md"), "mine");
  send(2n, [pdf]);
  await answered(
    'rejected 2: the skill "pdf" can\'t be placed in the agent\'s workspace: ".agents/skills/pdf" is there already',
  );
  expect(readFileSync(mounted("one", "pdf", "SKILL.md"), "utf8")).toBe("mine");
  await removeBundle(mounted("one", "pdf"));
  await answered("applied 2");
});

test("a start without a gateway has the skills of the ledger, and repairs what was tampered with", async () => {
  gateway.script.snapshots = [snapshotWith(1n, [csv, pdf])];
  const first = await start();
  await answered("applied 1");
  await first.sidecar.stop(0);
  await gateway.stop();
  chmodSync(mounted("one", "pdf"), 0o755);
  await removeBundle(mounted("one", "pdf", "scripts"));
  await removeBundle(mounted("one", "csv"));

  await start(true);
  await waitFor(() => existsSync(mounted("one", "pdf", "scripts", "run.sh")) && existsSync(mounted("one", "csv")), {
    what: "the mounts to be repaired",
  });
  await gateway.start();
  await waitFor(() => gateway.attached, { what: "the link" });
  expect(await say("use skill to say csv")).toContain("How to csv.");
  expect(gateway.bundles.reads).toHaveLength(2);
});

test("a kill -9 at any moment leaves what the next start repairs", { timeout: 120_000 }, async () => {
  const versions = Array.from({ length: 6 }, (_, index) =>
    testSkill("pdf", {
      body: `Version ${index}.`,
      files: Object.fromEntries(
        Array.from({ length: 150 }, (_one, file) => [`d${file % 7}/f${file}`, `${index} ${file}`]),
      ),
    }),
  );
  for (const { digest, data } of versions) gateway.bundles.stored.set(digest, data);
  let spawned: SpawnedSidecar | undefined;
  for (const [index, version] of versions.entries()) {
    gateway.script.snapshots = [snapshotWith(BigInt(index + 1), [version, csv])];
    const reads = gateway.bundles.reads.length;
    spawned = spawnSidecar(gateway, home.path, { join: index === 0 });
    if (index === versions.length - 1) break;
    // Somewhere in the fetching, the writing, the mounting.
    await waitFor(() => gateway.bundles.reads.length > reads, { what: "a fetch", deadlineMs: 30_000 });
    const until = performance.now() + index * 12;
    await waitFor(() => performance.now() > until, { what: "a moment" });
    await spawned.end("SIGKILL");
  }
  await answered("applied 6");
  expect(readdirSync(mounted("one")).toSorted()).toEqual([".mounted.json", "csv", "pdf"]);
  expect(readFileSync(mounted("one", "pdf", "SKILL.md"), "utf8")).toContain("Version 5.");
  expect(readdirSync(mounted("one", "pdf", "d0"))).toHaveLength(22);
  await waitFor(() => cached().length === 2, { what: "the others to go" });
  expect(cached()).toEqual(hexes(versions[5] ?? pdf, csv));
  await spawned?.end("SIGTERM");
});

import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { sql } from "@openhermit/postgres";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";
import { processesNaming } from "../fixture/processes-left.ts";

const MANY = 300;
// Nobody starts sidecars: this is about what should be.
const DEFAULTS = "defaults: { model: offline/echo, launcher: external }\n";

let database: TestDatabase;
let gateways: [GatewayProcess, GatewayProcess];
beforeAll(async () => {
  database = await testDatabase([]);
  gateways = await Promise.all([
    startGatewayProcess({ databaseUrl: database.url }),
    startGatewayProcess({ databaseUrl: database.url }),
  ]);
  for (const gateway of gateways) await ready(gateway);
}, 60_000);
afterAll(async () => {
  for (const gateway of gateways) await gateway.dispose();
  await database.drop();
  for (const { home } of gateways) expect(processesNaming(home)).toEqual([]);
});

async function ready(gateway: GatewayProcess): Promise<void> {
  await waitFor(() => gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 }), {
    deadlineMs: 30_000,
    what: "the gateway to be ready",
  });
}

const source = (text: string) => ({ files: [{ name: "agents.yaml", text }] });

/** How many records of this action there are. */
async function recorded(action: string): Promise<number> {
  let count = 0;
  let pageToken = "";
  do {
    const page = await gateways[1]
      .client(AuditService)
      .queryAudit({ filter: { actionPrefix: action }, pageSize: 1000, pageToken });
    count += page.records.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return count;
}

test("50 applies of one agent at once, over two gateways: one wins, 49 hear of a conflict and what to do", async () => {
  const manifest = (i: number): string => `${DEFAULTS}agents: { one: { instructions: "number ${i}" } }\n`;
  await gateways[0].client(ManifestService).applyManifest({ source: source(manifest(-1)) });
  const before = await recorded("agents.update");
  const each = Array.from({ length: 50 }, (_, i) => ({
    i,
    manifests: (gateways[i % 2] as GatewayProcess).client(ManifestService),
  }));
  const plans = await Promise.all(
    each.map(({ i, manifests }) => manifests.planManifest({ manifest: source(manifest(i)) })),
  );
  expect(new Set(plans.map(({ planToken }) => planToken)).size).toBe(50);
  const outcomes = await Promise.all(
    each.map(({ i, manifests }) =>
      manifests.applyManifest({ source: source(manifest(i)), planToken: plans[i]?.planToken ?? "" }).then(
        ({ changes }) => ({ i, changes }),
        (error: unknown) => ConnectError.from(error),
      ),
    ),
  );
  const won = outcomes.flatMap((outcome) => (outcome instanceof ConnectError ? [] : [outcome]));
  const lost = outcomes.filter((outcome) => outcome instanceof ConnectError);
  expect([won.length, lost.length]).toEqual([1, 49]);
  for (const error of lost) {
    const [detail] = error.findDetails(ErrorDetailSchema);
    expect([error.rawMessage, error.code]).toEqual([expect.any(String), Code.Aborted]);
    expect(["PLAN_STALE", "APPLY_IN_PROGRESS"]).toContain(detail?.reason);
    expect(detail?.hint).toMatch(/again|new plan/);
  }
  const { agent } = await gateways[0].client(FleetService).getAgent({ agentId: "one" });
  expect(agent?.spec?.instructions).toBe(`number ${won[0]?.i}`);
  expect(await recorded("agents.update")).toBe(before + 1);
}, 60_000);

const version = (n: number): string =>
  `${DEFAULTS}agents:\n${Array.from({ length: MANY }, (_, i) => `  many-${i}: { instructions: "version ${n}" }`).join("\n")}\n`;

async function allAgents(gateway: GatewayProcess): Promise<Agent[]> {
  const { agents } = await gateway.client(FleetService).listAgents({ pageSize: 1000 });
  return agents.filter(({ id }) => id.startsWith("many-"));
}

/** Which version the agents have; -1 when there are none. Fails when they have several. */
async function versionThere(): Promise<number> {
  const agents = await allAgents(gateways[1]);
  const texts = new Set(agents.map(({ spec }) => spec?.instructions));
  expect([agents.length, texts.size]).toEqual(agents.length === 0 ? [0, 0] : [MANY, 1]);
  return agents.length === 0 ? -1 : Number(/version (\d+)/.exec([...texts][0] ?? "")?.[1]);
}

/** Applies a version through the first gateway, kills it when `moment` has come, and starts it again. */
async function killedDuring(n: number, moment: () => Promise<unknown>, afterKill: () => void): Promise<void> {
  const applying = gateways[0]
    .client(ManifestService)
    .applyManifest({ source: source(version(n)) }, { timeoutMs: 30_000 })
    .catch(() => undefined);
  await moment();
  await gateways[0].kill();
  afterKill();
  await applying;
  await gateways[0].startAgain();
  await ready(gateways[0]);
}

/** What was left by a kill is all or nothing, and the same manifest again makes it whole. */
async function expectWhole(n: number, before: number, records: number): Promise<void> {
  const there = await waitFor(
    async () => {
      // What the killed gateway had asked of the database may still be under way there.
      const applied = await gateways[1]
        .client(ManifestService)
        .planManifest({ manifest: source(version(n)) }, { timeoutMs: 5000 });
      return { left: applied.changes.length };
    },
    { deadlineMs: 20_000, what: "the plan of what is left to do" },
  );
  expect([0, MANY]).toContain(there.left);
  expect(await versionThere()).toBe(there.left === 0 ? n : before);
  const changed = (await recorded("agents.create")) + (await recorded("agents.update")) - records;
  expect(changed).toBe(there.left === 0 ? MANY : 0);
  const apply = () => gateways[0].client(ManifestService).applyManifest({ source: source(version(n)) });
  const again = await waitFor(apply, { deadlineMs: 20_000, what: "the apply to be free" });
  expect(again.changes).toHaveLength(there.left);
  expect((await apply()).changes).toEqual([]);
  expect(await versionThere()).toBe(n);
}

test("a gateway killed -9 in the middle of an apply of 300 agents leaves all or nothing; run again it converges", async () => {
  let n = 0;
  let before = -1;
  const round = async (moment: () => Promise<unknown>, afterKill = (): void => {}): Promise<void> => {
    const records = (await recorded("agents.create")) + (await recorded("agents.update"));
    await killedDuring(++n, moment, afterKill);
    await expectWhole(n, before, records);
    before = n;
  };
  // Surely in the middle: the agents are written, and their records of the trail can't be.
  for (const table of ["access.audit_records", "fleet.agents"]) {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let locked = (): void => {};
    const isLocked = new Promise<void>((resolve) => (locked = resolve));
    const holding = database.database.transaction(async (tx) => {
      await tx.query(
        table === "fleet.agents"
          ? sql`LOCK TABLE fleet.agents IN EXCLUSIVE MODE`
          : sql`LOCK TABLE access.audit_records IN EXCLUSIVE MODE`,
      );
      locked();
      await released;
    });
    await isLocked;
    await round(
      () =>
        waitFor(
          async () => {
            const waiting = sql`SELECT FROM pg_locks WHERE NOT granted AND relation = ${table}::regclass`;
            return (await database.database.query(waiting)).rows.length > 0;
          },
          { what: `the apply to wait for ${table}` },
        ),
      release,
    );
    await holding;
  }
  // Wherever it just is, from the first byte of the request to its answer.
  const begin = performance.now();
  await gateways[0].client(ManifestService).applyManifest({ source: source(version(++n)) });
  before = n;
  const duration = performance.now() - begin;
  const rounds = 2 * readTestConfig().faultRepeats;
  for (let i = 1; i <= rounds; i++) await round(() => delay((duration * i) / (rounds + 1)));
  expect(n).toBe(rounds + 3);
}, 180_000);

test("a manifest of 3 MiB in three files, all of whose texts change, is planned, applied and found as it is", async () => {
  const text = (n: number): string => `${n}`.padEnd(9000, "long text ");
  const files = (n: number) =>
    Array.from({ length: 3 }, (_, part) => {
      const agents = Array.from({ length: 100 }, (__, i) => `  long-${part}-${i}: { instructions: "${text(n)}" }`);
      return { name: `${part}.yaml`, text: `${part === 0 ? DEFAULTS : ""}agents:\n${agents.join("\n")}\n` };
    });
  const manifests = gateways[0].client(ManifestService);
  await manifests.applyManifest({ source: source(`${DEFAULTS}agents: { one: {} }\n`) });
  for (const n of [1, 2]) {
    const manifest = { files: files(n) };
    const { planToken, changes } = await manifests.planManifest({ manifest });
    expect(changes).toHaveLength(300);
    expect((await manifests.applyManifest({ source: manifest, planToken })).changes).toHaveLength(300);
    expect((await manifests.planManifest({ manifest })).changes).toEqual([]);
  }
  expect((await manifests.detectDrift({ manifest: { files: files(1) } })).drifts.length).toBeGreaterThanOrEqual(300);
  expect((await manifests.exportManifest({})).manifest).toContain(text(2));
  const listed = await gateways[0].hermit(["agents", "list", "-o", "name"]);
  expect([listed.code, listed.stderr]).toEqual([0, ""]);
  expect(listed.stdout.split("\n").filter((id) => id.startsWith("long-"))).toHaveLength(300);
  await manifests.applyManifest({ source: source(`${DEFAULTS}agents: { one: {} }\n`), prune: true });
  expect((await gateways[0].client(FleetService).listAgents({})).agents.map(({ id }) => id)).toEqual(["one"]);
}, 60_000);

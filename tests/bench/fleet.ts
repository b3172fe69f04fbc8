import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { startCountingPostgres, type CountedStatement, type CountingPostgres } from "./counting-postgres.ts";
import { median } from "./measure.ts";
import type { Measurement } from "./report.ts";
import { startSidecarSwarm, type SidecarSwarm } from "./sidecar-swarm-client.ts";

const SIZES = [250, 500, 1000] as const;
const LARGEST = 1000;
/** Agents that a plan of all of them changes. */
const CHANGED = 100;
const SERVER = "everything";

interface Round {
  /** Until the last sidecar applied the change. */
  lastMs: number;
  /** Until whoever waits with WatchApplied was told so. */
  toldMs: number;
  statements: CountedStatement[];
}

/**
 * Goal 10: one row for `*` reaches every agent. Simulated sidecars with connections of their own, in a process of their own,
 * attached to a gateway that runs on a durable PostgreSQL; and a manifest of that many agents.
 */
export async function benchFleet(repeats: number): Promise<Measurement[]> {
  const postgres = await startCountingPostgres();
  const swarm = startSidecarSwarm();
  const fleet = await startFleet({ databaseUrl: postgres.url, manifest: manifestOf(agentIds(0, 1)) });
  try {
    await fleet.clients.catalog.putMcpServer({
      mcpServer: { id: SERVER, transport: { case: "stdio", value: { command: "/bin/true" } } },
    });
    const rounds = new Map<number, Round[]>();
    let attached = 0;
    for (const size of SIZES) {
      await grow(fleet, swarm, attached, size);
      attached = size;
      rounds.set(size, await changeAll(fleet, swarm, postgres, size, repeats));
    }
    return [...roundsReport(rounds), ...(await benchManifest(fleet, repeats))];
  } finally {
    await swarm.stop();
    await fleet.dispose();
    await postgres.stop();
  }
}

function agentIds(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `agent-${String(from + i).padStart(5, "0")}`);
}

function manifestOf(ids: readonly string[], changed = 0): string {
  return [
    "agents:",
    ...ids.map(
      (id, i) =>
        `  ${id}: { model: offline/echo, launcher: external, displayName: ${id}${i < changed ? " anew" : ""} }`,
    ),
    "",
  ].join("\n");
}

async function grow(fleet: RunningFleet, swarm: SidecarSwarm, from: number, to: number): Promise<void> {
  await fleet.clients.manifest.applyManifest({ manifest: manifestOf(agentIds(0, to)), fileName: "agents.yaml" });
  const joinTokens: { agentId: string; joinToken: string }[] = [];
  const left = agentIds(from, to);
  const lane = async (): Promise<void> => {
    for (let agentId = left.pop(); agentId !== undefined; agentId = left.pop()) {
      const { joinToken } = await fleet.clients.enrollment.createJoinToken({ sidecarId: agentId, agentIds: [agentId] });
      joinTokens.push({ agentId, joinToken });
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  await swarm.attach(fleet.url, joinTokens);
}

/** Gives the server to `*` and takes it away, in turn. */
async function changeAll(
  fleet: RunningFleet,
  swarm: SidecarSwarm,
  postgres: CountingPostgres,
  size: number,
  repeats: number,
): Promise<Round[]> {
  const { catalog } = fleet.clients;
  const request = { mcpServerId: SERVER, agentId: "*" };
  const changes = [() => catalog.enableMcpServer(request), () => catalog.disableMcpServer(request)];
  const rounds: Round[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    for (const change of changes) {
      await settled(fleet, size);
      await postgres.reset();
      const begin = performance.now();
      const [{ lastMs }, toldMs] = await (async () => {
        let told: Promise<number> | undefined;
        const times = await swarm.timeOf(async () => {
          await change();
          told = settled(fleet, size).then(() => performance.now() - begin);
        });
        return [times, await told] as const;
      })();
      // The first pair of rounds warms up.
      if (repeat > 0) rounds.push({ lastMs, toldMs: toldMs ?? Number.NaN, statements: await postgres.statements() });
    }
  }
  return rounds;
}

/** Resolves when the gateway says that all run with what they should. */
async function settled(fleet: RunningFleet, size: number): Promise<void> {
  for await (const { totalCount, appliedCount } of fleet.clients.fleet.watchApplied({})) {
    if (totalCount !== size) throw new Error(`${totalCount} agents are followed instead of ${size}`);
    if (appliedCount === size) return;
  }
  throw new Error("the gateway ended the stream before all had applied the change");
}

function roundsReport(rounds: ReadonlyMap<number, readonly Round[]>): Measurement[] {
  const of = (size: number, value: (round: Round) => number): number => median((rounds.get(size) ?? []).map(value));
  const last = (size: number): number => of(size, ({ lastMs }) => lastMs);
  const statements = (round: Round): number => round.statements.reduce((sum, { calls }) => sum + calls, 0);
  const most = rounds.get(LARGEST)?.at(-1)?.statements[0];
  const reads = (round: Round): number =>
    Math.max(
      0,
      ...round.statements.filter(({ text }) => /^\s*(?:WITH|SELECT)\b/i.test(text)).map(({ calls }) => calls),
    );
  const count = rounds.get(LARGEST)?.length ?? 0;
  return [
    ...SIZES.map((size): Measurement => ({
      goal: 10,
      name: `a row for * until ${size} sidecars applied it`,
      value: last(size) / 1000,
      unit: "s",
      ...(size === LARGEST ? { bound: { kind: "at most", value: 2 } as const } : {}),
      note: `median of ${count}; until a caller that waits was told: ${(of(size, ({ toldMs }) => toldMs) / 1000).toFixed(2)} s`,
    })),
    {
      goal: 10,
      name: `the time an agent at ${LARGEST} against at ${SIZES[0]}`,
      value: last(LARGEST) / LARGEST / (last(SIZES[0]) / SIZES[0]),
      unit: "x",
      bound: { kind: "at most", value: 1.3 },
    },
    {
      goal: 10,
      name: `statements of such a change at ${LARGEST}, all included`,
      value: of(LARGEST, statements),
      unit: "",
      note: `${of(SIZES[0], statements)} at ${SIZES[0]}; the most frequent ${most?.calls} times: ${abridged(most?.text)}`,
    },
    {
      goal: 10,
      name: "calls of the most frequent reading statement of it",
      value: of(LARGEST, reads),
      unit: "",
      bound: { kind: "at most", value: 10 },
      note: "a compile of all is one for each domain, never one for each agent",
    },
  ];
}

function abridged(text = ""): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 60 ? `${line.slice(0, 60)}…` : line;
}

/** A manifest of all agents: planned with some changed, and applied with as many new ones. */
async function benchManifest(fleet: RunningFleet, repeats: number): Promise<Measurement[]> {
  const { manifest } = fleet.clients;
  const source = (text: string) => ({ files: [{ name: "agents.yaml", text }] });
  const plans: number[] = [];
  const applies: number[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const planned = performance.now();
    const plan = await manifest.planManifest({ manifest: source(manifestOf(agentIds(0, LARGEST), CHANGED)) });
    if (plan.changes.length !== CHANGED) throw new Error(`the plan has ${plan.changes.length} changes`);
    const applying = performance.now();
    const all = manifestOf(agentIds(0, 2 * LARGEST));
    const applied = await manifest.applyManifest({ source: source(all) });
    if (applied.changes.length !== LARGEST) throw new Error(`the apply made ${applied.changes.length} changes`);
    if (repeat > 0) {
      plans.push(applying - planned);
      applies.push(performance.now() - applying);
    }
    await manifest.applyManifest({ source: source(manifestOf(agentIds(0, LARGEST))), prune: true });
  }
  return [
    {
      goal: 10,
      name: `a plan of ${LARGEST} agents, ${CHANGED} of them changed`,
      value: median(plans) / 1000,
      unit: "s",
      bound: { kind: "at most", value: 1 },
    },
    { goal: 10, name: `applying ${LARGEST} new agents beside ${LARGEST}`, value: median(applies) / 1000, unit: "s" },
  ];
}

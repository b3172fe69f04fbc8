import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { TurnState, type Turn } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, testDatabase, waitFor, type ScriptedModel, type TestDatabase } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send } from "../fixture/send.ts";

const { faultRepeats, slack } = readTestConfig();

const AGENTS = ["one", "two", "three"];
const WITHIN = { timeoutMs: 30_000 };

let model: ScriptedModel;
let database: TestDatabase;
let gateways: [GatewayProcess, GatewayProcess];
beforeAll(async () => {
  [model, database] = await Promise.all([startScriptedModel(), testDatabase([])]);
  // Both at once on an empty database: both migrate.
  gateways = await Promise.all([
    startGatewayProcess({ databaseUrl: database.url }),
    startGatewayProcess({ databaseUrl: database.url }),
  ]);
}, 60_000);
afterAll(async () => {
  for (const gateway of gateways) await gateway.dispose();
  await model.close();
  await database.drop();
  for (const { home } of gateways) expect(processesNaming(home)).toEqual([]);
});
beforeEach(() => model.always({ text: "fine", deltas: 2 }));

const sidecarsOf = ({ home }: GatewayProcess): { pid: number; command: string }[] =>
  processesNaming(home).filter(({ command }) => command.includes("sidecar/src/main.ts"));
const sidecars = (): { pid: number; command: string }[] => gateways.flatMap(sidecarsOf);

async function allOnline(gateway: GatewayProcess, deadlineMs = 20_000): Promise<void> {
  await waitFor(
    async () => {
      const { agents } = await gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 });
      return agents.length === AGENTS.length && agents.every(({ status }) => status?.state === AgentState.ONLINE);
    },
    { deadlineMs, what: "all agents to be online" },
  );
}

/** Reads a turn through a gateway, from wherever it is to its end. */
async function watch(gateway: GatewayProcess, turnId: string): Promise<{ turn: Turn | undefined; texts: string[] }> {
  let turn: Turn | undefined;
  const texts: string[] = [];
  for await (const { event } of gateway.client(SessionService).watchTurn({ turnId })) {
    if (event?.event.case === "turn") turn = event.event.value;
    if (event?.event.case === "assistantMessage") texts.push(event.event.value.text);
  }
  return { turn, texts };
}

test("both migrate one empty database at once, and start one sidecar per agent", async () => {
  const manifest = scriptedManifest(model.baseUrl, AGENTS, { everything: true });
  await waitFor(
    () => Promise.all(gateways.map((gateway) => gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 }))),
    { deadlineMs: 20_000, what: "both gateways to be ready" },
  );
  await gateways[0].client(ManifestService).applyManifest({ manifest, fileName: "agents.yaml" });
  for (const gateway of gateways) await allOnline(gateway);
  expect(sidecars()).toHaveLength(AGENTS.length);
  for (const gateway of gateways) expect(gateway.log()).not.toMatch(/"level":"?(60|fatal)/);
}, 60_000);

test("a message to either gateway is answered, whoever holds the link; both see each event once", async () => {
  const tails = gateways.map((gateway) => {
    const stop = new AbortController();
    const ids: string[] = [];
    const done = (async () => {
      const stream = gateway.client(ActivityService).tailEvents({}, { signal: stop.signal });
      for await (const { events } of stream) ids.push(...events.map(({ event }) => event?.id ?? ""));
    })().catch(() => {});
    return { ids, end: () => (stop.abort(), done) };
  });
  const sent: { turnId: string }[] = [];
  for (let round = 0; round < 3; round++) {
    for (const gateway of gateways) {
      for (const agent of AGENTS) {
        const begin = performance.now();
        const seen = await send(gateway.client(SessionService), agent, `round ${round}`);
        expect([agent, seen.turn.state]).toEqual([agent, TurnState.SUCCEEDED]);
        expect(seen.turn.answer).toBe("fine");
        expect(performance.now() - begin).toBeLessThan(5000 * slack);
        sent.push({ turnId: seen.turn.id });
      }
    }
  }
  const expected = new Set<string>();
  for (const { turnId } of sent) {
    const { events } = await gateways[0].client(ActivityService).queryEvents({ filter: { turnId } });
    for (const { event } of events) expected.add(event?.id ?? "");
  }
  expect(expected.size).toBe(sent.length * 4);
  for (const { ids, end } of tails) {
    await waitFor(() => [...expected].every((id) => ids.includes(id)), { what: "the tail to see every event" });
    await end();
    expect(new Set(ids).size).toBe(ids.length);
  }
}, 60_000);

test("a running turn is watched, repeated and cancelled through either gateway", async () => {
  model.always({ text: "step by step to the end", deltas: 10, deltaDelayMs: 100 });
  for (const agent of AGENTS) {
    const requestId = randomUUID();
    const both = await Promise.all(
      gateways.map((gateway) => send(gateway.client(SessionService), agent, "same request", { requestId })),
    );
    expect(new Set(both.map(({ turn }) => turn.id)).size).toBe(1);
    expect(both.map(({ turn }) => turn.state)).toEqual([TurnState.SUCCEEDED, TurnState.SUCCEEDED]);
    const turnId = both[0]?.turn.id ?? "";
    for (const gateway of gateways) {
      expect(await watch(gateway, turnId)).toMatchObject({
        turn: { state: TurnState.SUCCEEDED, answer: "step by step to the end" },
        texts: ["step by step to the end"],
      });
    }
  }
  expect(model.requests.filter(({ body }) => JSON.stringify(body.messages).includes("same request"))).toHaveLength(3);

  model.always({ hang: { afterDeltas: 1 }, text: "never ends", deltas: 3 });
  for (const agent of AGENTS) {
    const seen = send(gateways[0].client(SessionService), agent, `cancel me ${agent}`);
    const request = await waitFor(
      () => model.requests.find(({ body }) => JSON.stringify(body.messages).includes(`cancel me ${agent}`)),
      { what: "the model call" },
    );
    const { sessions } = await gateways[1].client(SessionService).listSessions({ agentId: agent });
    const session = sessions.find(({ title }) => title.includes("cancel me"));
    const { events } = await waitFor(
      async () => {
        const page = await gateways[1]
          .client(ActivityService)
          .queryEvents({ filter: { sessionId: session?.id ?? "" } });
        return page.events.length > 0 ? page : undefined;
      },
      { what: "the message in" },
    );
    const turnId = events[0]?.event?.turnId ?? "";
    const asked = performance.now();
    // The one that did not take the message is asked.
    await gateways[1].client(SessionService).cancelTurn({ turnId });
    await waitFor(() => request.state === "client-closed", {
      deadlineMs: 5000 * slack,
      what: "the model connection to close",
    });
    expect((request.endedAt ?? Infinity) - asked).toBeLessThan(1500 * slack);
    expect((await seen).turn.state).toBe(TurnState.CANCELLED);
  }
}, 60_000);

test("a server enabled for all through either gateway reaches every agent, whichever gateway it is attached to", async () => {
  const toolsOf = async (agent: string): Promise<string> => {
    expect((await send(gateways[0].client(SessionService), agent, "hello")).turn.state).toBe(TurnState.SUCCEEDED);
    return JSON.stringify(model.requests.at(-1)?.body.tools ?? []);
  };
  const applied = async (gateway: GatewayProcess): Promise<void> => {
    for await (const { totalCount, appliedCount } of gateway.client(FleetService).watchApplied({}, WITHIN)) {
      expect(totalCount).toBe(AGENTS.length);
      if (appliedCount === totalCount) return;
    }
    throw new Error("the stream ended before all agents had applied it");
  };
  const change = { mcpServerId: "everything", agentId: "*" };
  for (const [writer, reader] of [gateways, gateways.toReversed()] as [GatewayProcess, GatewayProcess][]) {
    await writer.client(CatalogService).disableMcpServer(change);
    await applied(writer);
    for (const agent of AGENTS) expect(await toolsOf(agent)).not.toContain("everything__");
    await writer.client(CatalogService).enableMcpServer(change);
    // Also who did not make the change knows what the newest configuration is, and who has it.
    await applied(writer);
    await applied(reader);
    for (const agent of AGENTS) {
      await waitFor(async () => (await toolsOf(agent)).includes("everything__echo"), { what: `the tools of ${agent}` });
    }
  }
}, 60_000);

test("kill -9 of either gateway: the turns end, the other takes over, and no agent has two sidecars", async () => {
  // The one that started most sidecars dies first: there is the most to take over.
  const first = sidecarsOf(gateways[0]).length >= sidecarsOf(gateways[1]).length ? 0 : 1;
  for (const victim of faultRepeats > 1 ? ([first, first === 0 ? 1 : 0] as const) : ([first] as const)) {
    const survivor = gateways[1 - victim] as GatewayProcess;
    model.always({ text: "a slow answer that takes its time", deltas: 20, deltaDelayMs: 100 });
    const turns = await Promise.all(
      AGENTS.map(async (agentId) => {
        const stream = survivor.client(SessionService).sendMessage({ agentId, message: `victim ${victim}` });
        for await (const { event } of stream) if (event?.event.case === "turn") return event.event.value.id;
        throw new Error("the stream carried no turn");
      }),
    );
    await gateways[victim].kill();
    const ends = await Promise.all(
      turns.map((turnId) =>
        waitFor(
          async () => {
            const { turn } = await survivor.client(SessionService).getTurn({ turnId }, { timeoutMs: 2000 });
            return turn !== undefined && turn.state >= TurnState.SUCCEEDED ? turn : undefined;
          },
          { deadlineMs: 60_000, what: `the end of turn ${turnId}` },
        ),
      ),
    );
    expect(ends.map(({ state }) => state)).toEqual(ends.map(() => TurnState.SUCCEEDED));
    model.always({ text: "fine", deltas: 2 });
    await allOnline(survivor, 60_000);
    for (const agent of AGENTS) {
      expect((await send(survivor.client(SessionService), agent, "taken over?")).turn.state).toBe(TurnState.SUCCEEDED);
    }
    await waitFor(() => sidecars().length === AGENTS.length, { deadlineMs: 10_000, what: "one sidecar per agent" });
    await gateways[victim].startAgain();
    await allOnline(gateways[victim], 30_000);
    expect(sidecars()).toHaveLength(AGENTS.length);
  }
}, 200_000);

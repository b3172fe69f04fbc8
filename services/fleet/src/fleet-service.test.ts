import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createDatabase, sql } from "@openhermit/postgres";
import { AgentSchema, AgentState, DesiredState, Launcher, ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../test/fleet-harness.ts";
import { fleetMigrations } from "./index.ts";

let store: TestDatabase;
let fleet: Fleet;

beforeEach(async () => {
  store = await testDatabase([fleetMigrations]);
  fleet = makeFleet({ database: store.database });
});
afterEach(async () => {
  await fleet.fleet.close();
  await store.drop();
});

const spec = { model: "offline/echo" };
const add = async (id: string, rest: Omit<MessageInitShape<typeof AgentSchema>, "$typeName"> = {}) =>
  (await fleet.client.createAgent({ agent: create(AgentSchema, { id, spec, ...rest }) })).agent;

describe("CreateAgent", () => {
  it("stores what is asked, with the defaults of the contract", async () => {
    const agent = await add("one", { labels: { team: "a" } });
    expect(agent).toMatchObject({
      id: "one",
      displayName: "one",
      labels: { team: "a" },
      desiredState: DesiredState.RUNNING,
      spec: { model: "offline/echo", launcher: Launcher.UNSPECIFIED },
      effectiveSpec: { model: "offline/echo", launcher: Launcher.PROCESS },
      status: { state: AgentState.STARTING, sidecarId: "one" },
    });
    expect(await fleet.agent("one")).toEqual(agent);
    expect(fleet.fleet.agentForTurn("one")).toEqual({ state: "ready" });
    expect(fleet.fleet.agentForTurn("two")).toEqual({ state: "unknown" });
  });

  it("is idempotent by request id, and refuses what is not the same", async () => {
    const ask = (id: string, requestId: string, displayName = "") =>
      fleet.client.createAgent({ agent: { id, spec, displayName }, requestId });
    const answers = await Promise.all([ask("one", "r1"), ask("one", "r1"), ask("one", "r1")]);
    expect(new Set(answers.map(({ agent }) => agent?.etag)).size).toBe(1);
    await expect(ask("one", "r1", "Other")).rejects.toThrow("REQUEST_ID_REUSED");
    await expect(ask("two", "r1")).rejects.toThrow("REQUEST_ID_REUSED");
    await expect(ask("one", "r2")).rejects.toThrow("AGENT_EXISTS");
    await expect(ask("one", "")).rejects.toThrow("AGENT_EXISTS");
    await expect(add("two", { spec: { model: "nope/model" } })).rejects.toThrow("PROVIDER_NOT_FOUND");
    expect((await fleet.client.listAgents({})).agents.map(({ id }) => id)).toEqual(["one"]);
  });
});

describe("UpdateAgent", () => {
  it("leaves etag, time and generation as they are when nothing changes", async () => {
    const before = await add("one");
    const after = await fleet.client.updateAgent({ agent: { id: "one", spec: { model: "offline/echo" } } });
    expect(after.agent).toEqual(before);
  });

  it("moves the etag with every change, the generation only with a new snapshot", async () => {
    const first = await add("one");
    const update = async (agent: object, paths: string[], etag = "") =>
      (await fleet.client.updateAgent({ agent: { id: "one", etag, ...agent }, updateMask: { paths } })).agent;
    const labelled = await update({ labels: { a: "1" } }, ["labels"], first?.etag);
    expect(labelled?.etag).not.toBe(first?.etag);
    expect(labelled?.status?.desiredGeneration).toBe(first?.status?.desiredGeneration);
    const taught = await update({ spec: { instructions: "Be brief.", model: "x/y" } }, ["spec.instructions"]);
    expect(taught?.spec).toMatchObject({ instructions: "Be brief.", model: "offline/echo" });
    expect(taught?.status?.desiredGeneration).toBeGreaterThan(first?.status?.desiredGeneration ?? 0n);
    await expect(update({ displayName: "X" }, ["display_name"], first?.etag)).rejects.toThrow("AGENT_CHANGED");
    await expect(update({}, ["status"])).rejects.toThrow("UPDATE_MASK_INVALID");
    await expect(update({ spec: { model: "nope/x" } }, ["spec.model"])).rejects.toThrow("PROVIDER_NOT_FOUND");
    await expect(fleet.client.updateAgent({ agent: { id: "two", spec } })).rejects.toThrow("AGENT_NOT_FOUND");
  });

  it("lets one of fifty with one etag win, and tells the others what to do", async () => {
    const before = await add("one");
    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        fleet.client.updateAgent({
          agent: { id: "one", etag: before?.etag ?? "", displayName: `n${index}` },
          updateMask: { paths: ["display_name"] },
        }),
      ),
    );
    const lost = answers.filter((answer) => answer.status === "rejected");
    expect(lost).toHaveLength(49);
    for (const { reason } of lost) expect(String(reason)).toContain("AGENT_CHANGED");
    const winner = answers.findIndex(({ status }) => status === "fulfilled");
    expect((await fleet.agent("one")).displayName).toBe(`n${winner}`);
  });

  it("loses no update of many at once that touch different fields", async () => {
    await add("one");
    const names = Array.from({ length: 8 }, (_, index) => index);
    await Promise.all(
      names.map((index) =>
        fleet.client.updateAgent(
          index % 2 === 0
            ? { agent: { id: "one", displayName: `n${index}` }, updateMask: { paths: ["display_name"] } }
            : {
                agent: { id: "one", spec: { ...spec, instructions: "i" } },
                updateMask: { paths: ["spec.instructions"] },
              },
        ),
      ),
    );
    const agent = await fleet.agent("one");
    expect(agent.spec?.instructions).toBe("i");
    expect(agent.displayName).toMatch(/^n[0246]$/);
  });
});

describe("generations", () => {
  it("never fall: not when the provider changes, not when the agent is deleted and made again", async () => {
    const generation = async () => (await fleet.fleet.snapshotSources(["one"]))[0]?.revision ?? -1n;
    const seen: bigint[] = [];
    await add("one");
    seen.push(await generation());
    const put = (baseUrl: string) =>
      fleet.client.putProvider({ provider: { name: "mine", kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl } });
    await put("http://localhost:1");
    await fleet.client.updateAgent({
      agent: { id: "one", spec: { model: "mine/m" } },
      updateMask: { paths: ["spec.model"] },
    });
    seen.push(await generation());
    await put("http://localhost:2");
    seen.push(await generation());
    await put("http://localhost:2");
    expect(await generation()).toBe(seen.at(-1));
    await fleet.client.deleteAgent({ agentId: "one" });
    expect(await fleet.fleet.snapshotSources(["one"])).toEqual([]);
    await add("one");
    seen.push(await generation());
    expect(seen.every((one, index) => index === 0 || one > (seen[index - 1] ?? one))).toBe(true);
    expect((await fleet.agent("one")).status?.desiredGeneration).toBe((seen.at(-1) ?? 0n) + 1000n);
  });

  it("are compiled from complete sources in one statement", async () => {
    await add("one", { displayName: "First" });
    await add("two", { spec: { model: "ollama/llama", turnLimits: { maxSteps: 2 } } });
    const before = store.database.statementCount();
    const sources = await fleet.fleet.snapshotSources(["two", "one", "nobody"]);
    expect(store.database.statementCount() - before).toBe(1);
    expect(sources).toMatchObject([
      { agentId: "one", displayName: "First", provider: { name: "offline", kind: ProviderKind.OFFLINE } },
      { agentId: "two", provider: { name: "ollama", baseUrl: "http://127.0.0.1:11434/v1" } },
    ]);
    expect(sources[1]?.spec.turnLimits).toMatchObject({ maxSteps: 2, maxConcurrentTurns: 64 });
  });

  it("grow when another gateway brings a built-in provider that is elsewhere now", async () => {
    await add("one", { spec: { model: "ollama/llama" } });
    fleet.fleet.start();
    const stored = sql`SELECT FROM fleet.providers WHERE name = 'ollama'`;
    await waitFor(async () => (await store.database.query(stored)).rowCount === 1, { what: "the built-in providers" });
    const first = (await fleet.fleet.snapshotSources(["one"]))[0];
    await fleet.fleet.close();
    fleet = makeFleet({ database: store.database, ollamaHost: "0.0.0.0:9999" });
    fleet.fleet.start();
    const moved = await waitFor(
      async () => {
        const [source] = await fleet.fleet.snapshotSources(["one"]);
        return source?.provider.baseUrl === "http://127.0.0.1:9999/v1" ? source : undefined;
      },
      { what: "the new base URL" },
    );
    expect(moved.revision).toBeGreaterThan(first?.revision ?? 0n);
  });
});

describe("StartAgent, StopAgent, DeleteAgent", () => {
  it("are idempotent, and change what turns are told", async () => {
    const first = await add("one");
    expect((await fleet.client.startAgent({ agentId: "one" })).agent?.etag).toBe(first?.etag);
    const stopped = (await fleet.client.stopAgent({ agentId: "one" })).agent;
    expect(stopped).toMatchObject({ desiredState: DesiredState.STOPPED, status: { state: AgentState.STOPPED } });
    expect((await fleet.client.stopAgent({ agentId: "one" })).agent?.etag).toBe(stopped?.etag);
    expect(fleet.fleet.agentForTurn("one")).toEqual({ state: "stopped" });
    await expect(fleet.client.restartAgent({ agentId: "one" })).rejects.toThrow("AGENT_STOPPED");
    await expect(fleet.client.deleteAgent({ agentId: "one", etag: first?.etag ?? "" })).rejects.toThrow(
      "AGENT_CHANGED",
    );
    await fleet.client.deleteAgent({ agentId: "one", etag: stopped?.etag ?? "" });
    expect(fleet.fleet.agentForTurn("one")).toEqual({ state: "unknown" });
    expect(fleet.calls).toEqual(["forget one", "revoke one"]);
    for (const call of ["startAgent", "stopAgent", "restartAgent", "deleteAgent", "getAgent"] as const) {
      await expect(fleet.client[call]({ agentId: "one" })).rejects.toThrow("AGENT_NOT_FOUND");
    }
  });
});

it("lists in pages, with as many statements for many agents as for one", async () => {
  for (const id of ["c", "a", "b"]) await add(id);
  const first = await fleet.client.listAgents({ pageSize: 2 });
  const before = store.database.statementCount();
  const second = await fleet.client.listAgents({ pageSize: 2, pageToken: first.nextPageToken });
  expect(store.database.statementCount() - before).toBe(1);
  expect([first, second].map(({ agents }) => agents.map(({ id }) => id))).toEqual([["a", "b"], ["c"]]);
  expect(second.nextPageToken).toBe("");
  await expect(fleet.client.listAgents({ pageToken: "nonsense" })).rejects.toThrow("PAGE_TOKEN_INVALID");
});

it("ends a page by its bytes where page_size would allow more", async () => {
  const instructions = "long text ".repeat(6400);
  const ids = Array.from({ length: 40 }, (_, i) => `long-${String(i).padStart(2, "0")}`);
  for (const id of ids) await add(id, { spec: { ...spec, instructions } });
  const pages: string[][] = [];
  let pageToken = "";
  do {
    const { agents, nextPageToken } = await fleet.client.listAgents({ pageSize: 1000, pageToken });
    pages.push(agents.map(({ id }) => id));
    pageToken = nextPageToken;
  } while (pageToken !== "");
  // Each is told twice, as it is set and as it takes effect.
  expect(pages.map(({ length }) => length)).toEqual([24, 16]);
  expect(pages.flat()).toEqual(ids);
  expect((await fleet.client.listAgents({ pageSize: 20 })).agents).toHaveLength(20);
});

it("keeps providers: the built-in ones, those that were put, and neither passwords nor keys of the mesh", async () => {
  const put = (provider: object) =>
    fleet.client.putProvider({ provider: { name: "mine", kind: ProviderKind.OPENAI_COMPATIBLE, ...provider } });
  await expect(put({})).rejects.toThrow("PROVIDER_URL_INVALID");
  await expect(put({ baseUrl: "ftp://x" })).rejects.toThrow("PROVIDER_URL_INVALID");
  await expect(put({ baseUrl: "http://user:secret@x" })).rejects.toThrow("PROVIDER_URL_INVALID");
  await expect(put({ baseUrl: "http://x", apiKeyEnv: "OPENHERMIT_SECRETS_KEY" })).rejects.toThrow(
    "PROVIDER_KEY_INVALID",
  );
  await put({ baseUrl: "http://x" });
  await put({ name: "ollama", baseUrl: "http://gpu:11434/v1" });
  const { providers } = await fleet.client.listProviders({});
  expect(providers.map(({ name, builtin }) => `${name} ${builtin}`)).toEqual([
    "anthropic true",
    "google true",
    "mine false",
    "offline true",
    "ollama true",
    "openai true",
    "openrouter true",
  ]);
  expect(providers.find(({ name }) => name === "ollama")?.baseUrl).toBe("http://gpu:11434/v1");
});

describe("another gateway", () => {
  it("hears of changes, and knows what is observed elsewhere", async () => {
    fleet.fleet.start();
    const other = makeFleet({ database: store.database });
    const heard: unknown[] = [];
    other.fleet.onChanged((agentIds) => heard.push(agentIds));
    other.fleet.start();
    await waitFor(() => heard.includes("all"), { what: "the subscription" });
    heard.length = 0;
    await add("one", { spec: { ...spec, launcher: Launcher.EXTERNAL } });
    await waitFor(() => other.fleet.agentForTurn("one").state === "ready", { what: "the agent to be known" });
    await fleet.client.stopAgent({ agentId: "one" });
    await waitFor(() => other.fleet.agentForTurn("one").state === "stopped", { what: "the stop to be known" });
    expect(heard.filter((agentIds) => agentIds !== "all")).toEqual([["one"]]);

    await fleet.client.startAgent({ agentId: "one" });
    const link = { sidecarId: "pool", agentIds: ["one"], host: "far", pid: 7, version: "1", instanceId: "i" };
    await fleet.fleet.sidecarAttached({ ...link, epoch: 1n });
    await fleet.fleet.snapshotAnswered({ agentId: "one", generation: 3n, rejectedReason: "" });
    await waitFor(async () => (await other.agent("one")).status?.state === AgentState.ONLINE, {
      what: "the link to be seen",
    });
    // The sidecar goes over to the other gateway; what the first one still says of the old link counts no more.
    await other.fleet.sidecarAttached({ ...link, host: "near", epoch: 2n });
    await other.fleet.snapshotAnswered({ agentId: "one", generation: 4n, rejectedReason: "" });
    await waitFor(async () => (await fleet.agent("one")).status?.host === "near", { what: "the new link" });
    await fleet.fleet.sidecarDetached({ sidecarId: "pool", agentIds: ["one"], epoch: 1n, reason: "lost" });
    await fleet.fleet.stopAll(0);
    expect((await other.agent("one")).status).toMatchObject({
      state: AgentState.ONLINE,
      appliedGeneration: 4n,
      host: "near",
    });
    await other.fleet.close();
  });
});

it("says unavailable, not unknown, as long as it could not read its agents", async () => {
  const away = createDatabase({ url: "postgres://nobody@127.0.0.1:1/none", log: testLog(), applicationName: "test" });
  const blind = makeFleet({ database: away });
  blind.fleet.start();
  expect(() => blind.fleet.agentForTurn("one")).toThrow("has not read its agents yet");
  expect(await blind.fleet.agents()).toEqual([]);
  await blind.fleet.stopAll(0);
  await blind.fleet.close();
  await away.end();
});

import { existsSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { temporaryDirectory, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { readConfig } from "./config.ts";
import type { GatewayProgress } from "./progress.ts";
import { startGateway, type Gateway } from "./start-gateway.ts";

let database: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: Gateway | undefined;
let door: Server | undefined;
const progress: GatewayProgress[] = [];

beforeEach(async () => {
  [database, home] = await Promise.all([testDatabase([]), temporaryDirectory()]);
  progress.length = 0;
});
afterEach(async () => {
  await gateway?.stop(0);
  door?.close();
  gateway = undefined;
  door = undefined;
  await database.drop();
  await home.remove();
});

async function start(databaseUrl: string, environment: Record<string, string> = {}): Promise<Gateway> {
  const config = readConfig({
    OPENHERMIT_HOME: home.path,
    OPENHERMIT_LISTEN: "127.0.0.1:0",
    OPENHERMIT_DATABASE_URL: databaseUrl,
    ...environment,
  });
  gateway = await startGateway(config, testLog(), (step) => progress.push(step));
  return gateway;
}

const operatorToken = () => readFileSync(join(home.path, "operator-token"), "utf8").trim();

const listAgents = (url: string) =>
  createClient(FleetService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" })).listAgents(
    {},
    { headers: { authorization: `Bearer ${operatorToken()}` } },
  );

/** A port at which the database is not there yet, and the way to open it. */
async function closedDoor(url: string): Promise<{ url: string; open(): Promise<void> }> {
  const target = new URL(url);
  const reserve = createServer();
  await new Promise<void>((resolve) => reserve.listen(0, "127.0.0.1", resolve));
  const { port } = reserve.address() as AddressInfo;
  await new Promise((resolve) => reserve.close(resolve));
  const through = new URL(url);
  through.hostname = "127.0.0.1";
  through.port = String(port);
  return {
    url: through.href,
    async open() {
      door = createServer((socket) => {
        const upstream = connect(Number(target.port), target.hostname);
        pipeline(socket, upstream, socket, () => {});
      });
      await new Promise<void>((resolve) => door?.listen(port, "127.0.0.1", resolve));
    },
  };
}

describe("a gateway", () => {
  test("comes up without its database, says so, and heals when it appears", async () => {
    const later = await closedDoor(database.url);
    const { url, ready } = await start(later.url);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const health = await fetch(`${url}/health`);
    expect([health.status, await health.json()]).toEqual([503, { status: "DOWN" }]);
    const error = ConnectError.from(await listAgents(url).catch((failure: unknown) => failure));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.findDetails(ErrorDetailSchema)[0]?.reason).toBe("GATEWAY_NOT_READY");
    await later.open();
    await ready;
    expect((await listAgents(url)).agents).toEqual([]);
    await waitFor(async () => (await fetch(`${url}/health`)).status === 200, { what: "the health to be well" });
    expect(progress.map(({ step }) => step)).toEqual(
      expect.arrayContaining(["home", "database", "listening", "migrations", "ready"]),
    );
  });

  test("writes where it is, for programs on the same host, and takes it away", async () => {
    const { url, ready, stop } = await start(database.url);
    await ready;
    const file = join(home.path, "gateway.json");
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ url, pid: process.pid });
    await Promise.all([stop(0), stop(0)]);
    expect(existsSync(file)).toBe(false);
    await expect(fetch(`${url}/livez`)).rejects.toThrow("fetch failed");
  });

  test("gives a login link for the local operator, and one for the first owner while there is none", async () => {
    const { url, ready } = await start(database.url);
    await ready;
    const links = progress.find((step) => step.step === "ready");
    const login = await fetch(links?.loginUrl ?? "", { redirect: "manual" });
    const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
    const page = await fetch(new URL("/", url), { headers: { cookie } });
    expect(await page.text()).toContain("No agents yet");
    const again = await fetch(links?.loginUrl ?? "", { redirect: "manual" });
    expect(again.headers.get("set-cookie") ?? "").not.toContain("openhermit_session=");
    const client = createClient(LoginService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    const code = new URL(links?.setupUrl ?? "").searchParams.get("code") ?? "";
    const { member } = await client.claimOwnership({ code, memberId: "alice", password: "correct horse battery" });
    expect(member).toMatchObject({ id: "alice", role: Role.OWNER });
    await gateway?.stop(0);
    progress.length = 0;
    await (
      await start(database.url)
    ).ready;
    const next = progress.find((step) => step.step === "ready");
    expect([typeof next?.loginUrl, next?.setupUrl]).toEqual(["string", undefined]);
  });

  test("answers nobody without a credential, but for a word on how it is", async () => {
    const { url, ready } = await start(database.url);
    await ready;
    const statusOf = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(url + path, { headers, redirect: "manual" })).status;
    expect(await statusOf("/livez")).toBe(200);
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: "OK" });
    for (const path of [
      "/metrics",
      "/no/such/path",
      "/openhermit.fleet.v1.FleetService/ListAgents?connect=v1&encoding=json&message={}",
    ]) {
      expect([path, await statusOf(path)]).toEqual([path, 401]);
    }
    const error = ConnectError.from(
      await createClient(FleetService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }))
        .listAgents({})
        .catch((failure: unknown) => failure),
    );
    expect(error.code).toBe(Code.Unauthenticated);
  });

  test("says of an agent out of reach what it says of one that does not exist, in every method", async () => {
    const { url, ready } = await start(database.url);
    await ready;
    const transport = (token: string) =>
      createConnectTransport({
        baseUrl: url,
        httpVersion: "1.1",
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        ],
      });
    const operator = transport(operatorToken());
    const spec = { model: "offline/echo", launcher: Launcher.EXTERNAL };
    await createClient(TeamService, operator).createTeam({ team: { id: "red" } });
    await createClient(FleetService, operator).createAgent({ agent: { id: "hidden", team: "red", spec } });
    await createClient(ServiceAccountService, operator).createServiceAccount({
      serviceAccount: { id: "ci", role: Role.OPERATOR },
    });
    const { secret } = await createClient(TokenService, operator).createToken({
      serviceAccountId: "ci",
      scopes: ["agents:write", "sessions:write"],
    });
    const fleet = createClient(FleetService, transport(secret));
    const sessions = createClient(SessionService, transport(secret));
    const calls: Record<string, (agentId: string) => Promise<unknown>> = {
      getAgent: (agentId) => fleet.getAgent({ agentId }),
      updateAgent: (id) => fleet.updateAgent({ agent: { id, spec } }),
      deleteAgent: (agentId) => fleet.deleteAgent({ agentId }),
      startAgent: (agentId) => fleet.startAgent({ agentId }),
      stopAgent: (agentId) => fleet.stopAgent({ agentId }),
      restartAgent: (agentId) => fleet.restartAgent({ agentId }),
      async sendMessage(agentId) {
        for await (const _ of sessions.sendMessage({ agentId, message: "hi" })) {
          // Nothing may come.
        }
      },
    };
    const told = async (call: Promise<unknown>) => {
      const error = ConnectError.from(await call.catch((failure: unknown) => failure));
      const { reason, hint, fields } = error.findDetails(ErrorDetailSchema)[0] ?? {};
      return JSON.stringify([error.code, error.rawMessage, reason, hint, fields]);
    };
    for (const [name, call] of Object.entries(calls)) {
      const missing = await told(call("missing"));
      expect([name, missing]).toEqual([name, expect.stringContaining("AGENT_NOT_FOUND")]);
      expect([name, (await told(call("hidden"))).replaceAll("hidden", "missing")]).toEqual([name, missing]);
    }
  });

  test("shows its own metrics, to who may read them, and on a port of their own to everybody there", async () => {
    const { url, ready } = await start(database.url, { OPENHERMIT_METRICS_LISTEN: "127.0.0.1:0" });
    await ready;
    await listAgents(url);
    await fetch(`${url}/openhermit.fleet.v1.FleetService/ListAgents`, { method: "POST", body: "{}" });
    const headers = { authorization: `Bearer ${operatorToken()}` };
    const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
    expect(metrics).toMatch(
      /openhermit_rpc_requests_total\{method="openhermit\.fleet\.v1\.FleetService\/ListAgents",code="ok"\} 1/,
    );
    expect(metrics).toMatch(/openhermit_links 0/);
    expect(metrics).toMatch(/openhermit_database_statements_total [1-9]/);
  });

  test("that can't have its port leaves nothing behind", async () => {
    const first = await start(database.url);
    await first.ready;
    const other = await temporaryDirectory();
    const config = readConfig({
      OPENHERMIT_HOME: other.path,
      OPENHERMIT_LISTEN: new URL(first.url).host,
      OPENHERMIT_DATABASE_URL: database.url,
    });
    await expect(startGateway(config, testLog())).rejects.toMatchObject({ reason: "PORT_IN_USE" });
    expect(existsSync(join(other.path, "gateway.json"))).toBe(false);
    await other.remove();
  });
});

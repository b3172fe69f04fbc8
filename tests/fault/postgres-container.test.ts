import { createServer } from "node:net";
import { GenericContainer, Wait, type StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { engineMissing } from "../fixture/engine.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { send } from "../fixture/send.ts";

const missing = engineMissing("postgres:17");
if (missing !== undefined) console.warn(`tests/fault/postgres-container ${missing}`);

const MANIFEST = "agents:\n  one: { model: offline/echo }\n";
const PASSWORD = "only-for-this-test";

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0));
    });
  });
}

describe.skipIf(missing !== undefined)("PostgreSQL in a container", () => {
  let container: StartedTestContainer;
  let fleet: RunningFleet;

  beforeAll(async () => {
    container = await new GenericContainer("postgres:17")
      .withEnvironment({ POSTGRES_PASSWORD: PASSWORD, POSTGRES_DB: "fleet" })
      // A port of its own: Docker gives a restarted container another one otherwise.
      .withExposedPorts({ container: 5432, host: await freePort() })
      .withWaitStrategy(Wait.forListeningPorts())
      .start();
    const databaseUrl = `postgres://postgres:${PASSWORD}@${container.getHost()}:${container.getMappedPort(5432)}/fleet`;
    fleet = await startFleet({ manifest: MANIFEST, databaseUrl });
  }, 180_000);
  afterAll(async () => {
    await fleet.dispose();
    await container.stop();
  });

  const state = async (): Promise<HealthState | undefined> =>
    (await fleet.clients.health.getFleetHealth({}, { timeoutMs: 2000 })).health?.state;

  test("stopping the container turns the fleet DOWN, starting it again heals it; no process exits", async () => {
    const first = await send(fleet.clients.sessions, "one", "before");
    expect(first.turn.state).toBe(TurnState.SUCCEEDED);
    const pids = [fleet.gatewayPid(), fleet.sidecarPid("one")];

    await container.restart({ timeout: 0 });
    await waitFor(async () => (await state()) === HealthState.OK, { deadlineMs: 30_000, what: "the fleet to be well" });

    const second = await send(fleet.clients.sessions, "one", "after", { sessionId: first.turn.sessionId });
    expect(second.turn.state).toBe(TurnState.SUCCEEDED);
    const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: first.turn.sessionId });
    expect(entries).toHaveLength(4);
    expect([fleet.gatewayPid(), fleet.sidecarPid("one")]).toEqual(pids);
  }, 120_000);
});

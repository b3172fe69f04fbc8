import { ConnectError } from "@connectrpc/connect";
import type { Turn } from "@openhermit/protocol/sessions/v1/session";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { sessionsMigrations } from "../migrations.ts";
import { simulatedSidecar, type SimulatedSidecar } from "./simulated-sidecar.ts";
import { QUIET, testGateway, type TestGateway, type WatchedTurn } from "./test-gateway.ts";

/** A gateway, an agent of its own, and its attached sidecar. */
export interface AttachedAgent {
  readonly gateway: TestGateway;
  readonly agentId: string;
  readonly sidecar: SimulatedSidecar;
}

/** What the tests of one file share: a database. */
export interface SessionsFixture {
  readonly database: TestDatabase["database"];
  readonly url: string;
  /** A gateway whose tasks do not run, closed after the test. */
  gateway(options?: Partial<Parameters<typeof testGateway>[0]>): TestGateway;
  newAgent(): string;
  attached(gateway?: TestGateway): Promise<AttachedAgent>;
}

/** Where a test file registers what happens before and after its tests. */
export interface Hooks {
  beforeAll(work: () => Promise<void>): void;
  afterEach(work: () => Promise<void>): void;
  afterAll(work: () => Promise<void> | undefined): void;
}

/** Registers the database of a test file. */
export function sessionsFixture({ beforeAll, afterEach, afterAll }: Hooks): SessionsFixture {
  let db: TestDatabase | undefined;
  const open: TestGateway[] = [];
  let agents = 0;
  beforeAll(async () => {
    db = await testDatabase([sessionsMigrations]);
  });
  afterAll(() => db?.drop());
  afterEach(async () => {
    for (const gateway of open.splice(0)) await gateway.close();
  });
  const made = (): TestDatabase => {
    if (db === undefined) throw new Error("the database is made before the tests");
    return db;
  };
  const fixture: SessionsFixture = {
    get database() {
      return made().database;
    },
    get url() {
      return made().url;
    },
    gateway(options = {}) {
      const gateway = testGateway({
        database: made().database,
        ...options,
        timing: { ...QUIET, ...options.timing },
      });
      open.push(gateway);
      return gateway;
    },
    newAgent: () => `agent-${++agents}`,
    async attached(gateway = fixture.gateway()) {
      const agentId = fixture.newAgent();
      const sidecar = simulatedSidecar([agentId]);
      await sidecar.attach(gateway);
      return { gateway, agentId, sidecar };
    },
  };
  return fixture;
}

/** Waits for the first turn event of a stream; rejects as the stream does. */
export async function turnOf(stream: WatchedTurn): Promise<Turn> {
  let failure: { error: unknown } | undefined;
  stream.done.catch((error: unknown) => (failure = { error }));
  await waitFor(() => stream.turn() ?? failure, { what: "the first turn event" });
  if (failure !== undefined) throw failure.error;
  return waitFor(() => stream.turn(), { what: "the first turn event" });
}

/** Why a stream or a call was refused. */
export const reasonOf = (refused: Promise<unknown>): Promise<string> =>
  refused.then(
    () => Promise.reject(new Error("it was not refused")),
    (error: unknown) => ConnectError.from(error).rawMessage,
  );

/** The turn as the database has it. */
export async function storedTurn(gateway: TestGateway, turnId: string): Promise<Turn> {
  const { turn } = await gateway.client.getTurn({ turnId });
  if (turn === undefined) throw new Error(`turn ${turnId} is not stored`);
  return turn;
}

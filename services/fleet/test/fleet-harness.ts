import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type HandlerContext,
} from "@connectrpc/connect";
import type { Caller, Change, RecordChanges } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { isAlive, processIdentity } from "@openhermit/processes";
import { sql, type Database } from "@openhermit/postgres";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService as FleetRpc } from "@openhermit/protocol/fleet/v1/fleet_service";
import { testLog, type TestLog } from "@openhermit/testing";
import { callerOf, type Person } from "./test-people.ts";
import {
  createFleetService,
  type ApplyOptions,
  type FleetChanges,
  type FleetPorts,
  type FleetService,
  type LauncherOptions,
  type WantedFleet,
} from "../src/index.ts";

/** What a fake sidecar says about its start. */
export interface Start {
  pid: number;
  childPid: number;
  argv: string[];
  env: Record<string, string>;
  token: string;
  tokenMode: number;
  homeMode: number;
}

/** A fleet service with a client and ports that remember. */
export interface Fleet {
  readonly fleet: FleetService;
  /** Of an admin. */
  readonly client: Client<typeof FleetRpc>;
  /** The client of one of the people. */
  as(name: string): Client<typeof FleetRpc>;
  /** One of the people as a caller of this gateway. */
  caller(name: string): Caller;
  /** Makes the fleet what is wanted, in a transaction of its own. What is not said is as an admin applies it. */
  apply(wanted: Partial<WantedFleet>, options?: Partial<ApplyOptions>): Promise<FleetChanges>;
  /** The audit trail: who changed what. */
  readonly trail: (Change & { by: string })[];
  readonly log: TestLog;
  readonly calls: string[];
  readonly events: Event[];
  agent(id: string): Promise<Agent>;
}

const WHO = "x-test-caller";
const nameIn = ({ requestHeader }: HandlerContext): string => requestHeader.get(WHO) ?? "nobody";

const FAKE_SIDECAR = join(import.meta.dirname, "fake-sidecar.ts");

/** Tells the reason of an error in place of its words, which are hidden here as any error's that is not known. */
function byReason(error: unknown): never {
  throw error instanceof MeshError ? new ConnectError(error.reason, Code.Aborted) : error;
}

async function* withReasons<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    byReason(error);
  }
}

/** Makes a fleet; `home` gives it a launcher of fake sidecars. The caller starts and closes it. */
export function makeFleet(options: {
  database: Database;
  home?: string;
  ports?: Partial<FleetPorts>;
  launcher?: Partial<LauncherOptions>;
  leaseMs?: number;
  ollamaHost?: string;
  people?: Readonly<Record<string, Person>>;
  teams?: readonly string[];
}): Fleet {
  const people: Record<string, Person> = { operator: { isAdmin: true }, ...options.people };
  const trail: Fleet["trail"] = [];
  const calls: string[] = [];
  const events: Event[] = [];
  const log = testLog();
  let tokens = 0;
  const ports: FleetPorts = {
    async createJoinToken(sidecarId, agentIds) {
      calls.push(`token ${sidecarId} ${agentIds.join()}`);
      return { joinToken: `secret-join-token-${++tokens}` };
    },
    drainSidecar: async (sidecarId) => void calls.push(`drain ${sidecarId}`),
    revokeSidecars: async (sidecarIds) => void calls.push(...sidecarIds.map((sidecarId) => `revoke ${sidecarId}`)),
    gatewayUrl: () => "http://127.0.0.1:1",
    recordEvents: async (list) => void events.push(...list),
    forgetAgents: async (tx, agentIds) => {
      // A statement of the transaction, as the domains write them.
      await tx.query(sql`SELECT`);
      calls.push(...agentIds.map((agentId) => `forget ${agentId}`));
    },
    secretNames: async () => new Map(),
    isTeam: (teamId) => options.teams?.includes(teamId) ?? false,
    catalogRevisions: async (agentIds) => new Map(agentIds.map((id) => [id, 1000n])),
    ...options.ports,
  };
  const recorder =
    (by: string): RecordChanges =>
    async (tx, changes) => {
      // A statement of the transaction, as a trail writes one.
      await tx.query(sql`SELECT`);
      trail.push(...changes.map((change) => ({ ...change, by })));
    };
  const fleet = createFleetService({
    database: options.database,
    log,
    caller: (context) => caller(nameIn(context)),
    audit: (context) => recorder(nameIn(context)),
    ports,
    ...(options.ollamaHost !== undefined && { ollamaHost: options.ollamaHost }),
    ...(options.leaseMs !== undefined && { leaseMs: options.leaseMs }),
    ...(options.home !== undefined && {
      launcher: {
        home: options.home,
        command: [process.execPath, FAKE_SIDECAR],
        environment: { PATH: process.env["PATH"], TEST_API_KEY: "key-of-the-provider", SECRET: "of the gateway" },
        ...options.launcher,
        times: {
          drainGraceMs: 300,
          killGraceMs: 200,
          firstRestartMs: 50,
          maxRestartMs: 200,
          ...options.launcher?.times,
        },
      },
    }),
  });
  const transport = createRouterTransport(fleet.routes, {
    router: {
      interceptors: [
        (next) => async (request) => {
          const response = await next(request).catch(byReason);
          return response.stream ? { ...response, message: withReasons(response.message) } : response;
        },
      ],
    },
  });
  const caller = (name: string): Caller => callerOf(name, people[name] ?? {}, () => fleet);
  const as = (name: string): Client<typeof FleetRpc> => {
    const named = (header: Parameters<typeof transport.unary>[3]) => ({
      ...Object.fromEntries(new Headers(header)),
      [WHO]: name,
    });
    return createClient(FleetRpc, {
      unary: (method, signal, timeout, header, ...rest) =>
        transport.unary(method, signal, timeout, named(header), ...rest),
      stream: (method, signal, timeout, header, ...rest) =>
        transport.stream(method, signal, timeout, named(header), ...rest),
    });
  };
  const client = as("operator");
  return {
    fleet,
    client,
    as,
    caller,
    apply: (wanted, given) =>
      options.database.transaction((tx) =>
        fleet.applyFleet(
          tx,
          { defaults: undefined, providers: [], agents: [], ...wanted },
          {
            dryRun: false,
            prune: false,
            caller: caller("operator"),
            mayWrite: () => true,
            record: recorder("operator"),
            ...given,
          },
        ),
      ),
    trail,
    log,
    calls,
    events,
    async agent(id) {
      const { agent } = await client.getAgent({ agentId: id });
      if (agent === undefined) throw new Error("no agent in the answer");
      return agent;
    },
  };
}

/** The starts of an agent's fake sidecar so far. */
export function startsOf(home: string, agentId: string): Start[] {
  try {
    const text = readFileSync(join(home, "sidecars", agentId, "starts.jsonl"), "utf8");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Start);
  } catch {
    return [];
  }
}

/** Whether anything of a start still runs. */
export function runs({ pid, childPid }: Start): boolean {
  return [pid, childPid].some((one) => {
    const identity = processIdentity(one);
    return identity !== undefined && isAlive(identity);
  });
}

/** Tells a fake sidecar how to behave. */
export async function tell(home: string, agentId: string, what: "ignore-term" | "crash"): Promise<void> {
  await writeFile(join(home, "sidecars", agentId, what), "");
}

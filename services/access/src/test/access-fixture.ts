import { randomUUID } from "node:crypto";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type Transport,
} from "@connectrpc/connect";
import type { DescService } from "@bufbuild/protobuf";
import { MeshError } from "@openhermit/errors";
import { sql, type Database } from "@openhermit/postgres";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { testLog, waitFor, type TestLog } from "@openhermit/testing";
import type { AccessService, ScopedMethod } from "../access-ports.ts";
import { createAccessService } from "../access-service.ts";
import { announce } from "../access-channel-store.ts";
import { LOCAL_OPERATOR, storeTeam } from "./access-database.ts";
import type { Actor, Principal, SubjectRef } from "../principal.ts";

/** One gateway's access domain, and clients of whoever one likes. */
export interface AccessFixture {
  readonly access: AccessService;
  readonly log: TestLog;
  /** The team of each agent that exists. */
  readonly agents: Map<string, string>;
  /** The clients of somebody; the rights to a method are the gateway's to check, and are not checked here. */
  as(principal: Principal): AccessClients;
  stop(): Promise<void>;
}

/** The clients of one caller. */
export interface AccessClients {
  readonly tokens: Client<typeof TokenService>;
  readonly teams: Client<typeof TeamService>;
  readonly accounts: Client<typeof ServiceAccountService>;
  readonly grants: Client<typeof GrantService>;
  client<Service extends DescService>(service: Service): Client<Service>;
}

const METHODS: readonly ScopedMethod[] = [
  { name: "fleet.FleetService/GetAgent", resource: "agents", verb: "read" },
  { name: "fleet.FleetService/UpdateAgent", resource: "agents", verb: "write" },
];

/** Somebody in a browser. */
export function browser(subject: SubjectRef): Principal {
  const credential = {
    kind: "session",
    sessionId: "00",
    loginTime: new Date(),
    expireTime: new Date("2100-01-01"),
  } as const;
  return { subject, creator: subject, credential };
}

/** The local operator. */
export const operator: Principal = {
  subject: LOCAL_OPERATOR,
  creator: LOCAL_OPERATOR,
  credential: { kind: "operator-token" },
};

/** Starts a gateway's access domain. Errors reach its clients as their reason. */
export async function startAccess(database: Database, { pepper = "" } = {}): Promise<AccessFixture> {
  const log = testLog();
  const agents = new Map([
    ["free", ""],
    ["one", "red"],
    ["two", "blue"],
  ]);
  const principals = new Map<string, Principal>();
  const principalOf = (context: { requestHeader: Headers }): Principal | undefined =>
    principals.get(context.requestHeader.get("as") ?? "");
  const access = createAccessService({
    database,
    log,
    ports: {
      teamOfAgent: (id) => agents.get(id),
      agentIds: () => [...agents.keys()],
      existingAgentIds: () => [...agents.keys()],
      gatewayUrl: () => "http://127.0.0.1:4000",
    },
    principal: principalOf,
    actor: (context) => actorOf(principalOf(context)),
    methods: () => METHODS,
    tokenPepper: pepper,
    auditRetentionDays: 400,
  });
  await access.start();
  const transport = createRouterTransport(access.routes, {
    router: {
      interceptors: [
        (next) => (request) =>
          next(request).catch((error: unknown) => {
            throw error instanceof MeshError
              ? new ConnectError(`${error.reason}: ${error.message}`, Code.Aborted)
              : error;
          }),
      ],
    },
  });
  return {
    access,
    log,
    agents,
    as(principal) {
      const key = String(principals.size);
      principals.set(key, principal);
      const client = <Service extends DescService>(service: Service): Client<Service> =>
        createClient(service, withHeader(transport, key));
      return {
        client,
        tokens: client(TokenService),
        teams: client(TeamService),
        accounts: client(ServiceAccountService),
        grants: client(GrantService),
      };
    },
    stop: () => access.close(),
  };
}

/** Waits until all of them know what tests have changed by SQL. */
export async function tellAll(database: Database, fixtures: readonly AccessFixture[]): Promise<void> {
  const mark = `mark-${randomUUID()}`;
  await storeTeam(database, mark);
  await announce(database, [{ kind: "directory" }]);
  for (const { access } of fixtures) await waitFor(() => access.isTeam(mark), { what: "the directory" });
  await database.query(sql`DELETE FROM access.teams WHERE id = ${mark}`);
}

/** What the audit trail says, oldest first: `tokens.create token/acc_…`. */
export async function auditOf(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ line: string }>(sql`
    SELECT action || ' ' || target_type || '/' || target_id AS line FROM access.audit_records ORDER BY position`);
  return rows.map(({ line }) => line);
}

function withHeader(transport: Transport, key: string): Transport {
  return {
    unary: (method, signal, timeout, header, input, values) =>
      transport.unary(method, signal, timeout, { ...Object.fromEntries(new Headers(header)), as: key }, input, values),
    stream: (method, signal, timeout, header, input, values) =>
      transport.stream(method, signal, timeout, { ...Object.fromEntries(new Headers(header)), as: key }, input, values),
  };
}

function actorOf(principal: Principal | undefined): Actor {
  const { subject, creator, credential } = principal ?? operator;
  return {
    subject,
    onBehalfOf: subject === creator ? undefined : creator,
    accessor: credential.kind === "token" ? credential.accessor : "",
    requestId: "request",
    address: "127.0.0.1",
  };
}

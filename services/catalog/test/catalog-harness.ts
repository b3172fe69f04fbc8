import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import type { Caller, Change } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { sql, type Database } from "@openhermit/postgres";
import { CatalogService as CatalogRpc } from "@openhermit/protocol/catalog/v1/catalog_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { SkillService as SkillRpc } from "@openhermit/protocol/catalog/v1/skill_service";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import { testCaller, testLog } from "@openhermit/testing";
import { createCatalogService, type CatalogService } from "../src/index.ts";

/** A client of both services of the catalogue. */
export type CatalogClient = Client<typeof CatalogRpc> & Client<typeof SkillRpc>;

/** A catalogue with its clients and an audit trail in memory. */
export interface Catalog {
  readonly catalog: CatalogService;
  /** Of somebody who reaches all. */
  readonly client: CatalogClient;
  /** The client of one of the people. */
  as(name: string): CatalogClient;
  readonly trail: (Change & { by: string })[];
}

type OutgoingDetail = NonNullable<ConstructorParameters<typeof ConnectError>[3]>[number];

const WHO = "x-test-caller";
const nameIn = ({ requestHeader }: HandlerContext): string => requestHeader.get(WHO) ?? "nobody";

/** Makes a catalogue; `teams` holds the team of each agent that exists. The caller starts and closes it. */
export function makeCatalog(
  database: Database,
  options: {
    people?: Readonly<Record<string, Caller>>;
    teams?: ReadonlyMap<string, string>;
    /** The names of those who may only read. */
    readers?: readonly string[];
    /** What sidecars say of their components, by component and agent. */
    reports?: ReadonlyMap<string, ReadonlyMap<string, ComponentHealth>>;
  } = {},
): Catalog {
  const trail: Catalog["trail"] = [];
  const catalog = createCatalogService({
    database,
    log: testLog(),
    caller: (context) => options.people?.[nameIn(context)] ?? testCaller(),
    audit: (context) => async (tx, changes) => {
      // A statement of the transaction, as a trail writes one.
      await tx.query(sql`SELECT`);
      trail.push(...changes.map((change) => ({ ...change, by: nameIn(context) })));
    },
    ports: {
      mayWrite: (context) => options.readers?.includes(nameIn(context)) !== true,
      agentTeams: async () => new Map(options.teams ?? []),
      holdTeams: async (_, agentIds) => new Map([...(options.teams ?? [])].filter(([id]) => agentIds.includes(id))),
      agentIds: () => [...(options.teams ?? new Map<string, string>()).keys()].toSorted(),
      componentReports: (name) => options.reports?.get(name) ?? new Map<string, ComponentHealth>(),
    },
  });
  const transport = createRouterTransport(catalog.routes, {
    router: {
      // As the gateway has it.
      readMaxBytes: 4 * 1024 * 1024,
      writeMaxBytes: 4 * 1024 * 1024,
      interceptors: [
        (next) => (request) =>
          next(request).catch((error: unknown) => {
            throw error instanceof ConnectError
              ? withReason(error)
              : error instanceof MeshError
                ? new ConnectError(`${error.reason} ${error.message}`, Code.Aborted)
                : error;
          }),
      ],
    },
  });
  const as = (name: string): CatalogClient => {
    const named: Transport = {
      ...transport,
      unary: (method, signal, timeout, header, ...rest) =>
        transport.unary(method, signal, timeout, { ...Object.fromEntries(new Headers(header)), [WHO]: name }, ...rest),
    };
    return { ...createClient(CatalogRpc, named), ...createClient(SkillRpc, named) };
  };
  return { catalog, client: as("local-operator"), as, trail };
}

/** Puts the reason into the message, as errors of the domain have it in these tests. */
function withReason(error: ConnectError): ConnectError {
  const [detail] = error.findDetails(ErrorDetailSchema);
  if (detail === undefined) return error;
  const { rawMessage, code, metadata, details } = error;
  // They have not been sent yet.
  return new ConnectError(`${detail.reason} ${rawMessage}`, code, metadata, details as OutgoingDetail[]);
}

import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type HandlerContext,
} from "@connectrpc/connect";
import type { Caller, Change } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { sql, type Database } from "@openhermit/postgres";
import { CatalogService as CatalogRpc } from "@openhermit/protocol/catalog/v1/catalog_service";
import { testCaller, testLog } from "@openhermit/testing";
import { createCatalogService, type CatalogService } from "../src/index.ts";

/** A catalogue with its clients and an audit trail in memory. */
export interface Catalog {
  readonly catalog: CatalogService;
  /** Of somebody who reaches all. */
  readonly client: Client<typeof CatalogRpc>;
  /** The client of one of the people. */
  as(name: string): Client<typeof CatalogRpc>;
  readonly trail: (Change & { by: string })[];
}

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
      holdTeams: async (_, agentIds) => new Map([...(options.teams ?? [])].filter(([id]) => agentIds.includes(id))),
    },
  });
  const transport = createRouterTransport(catalog.routes, {
    router: {
      interceptors: [
        (next) => (request) =>
          next(request).catch((error: unknown) => {
            throw error instanceof MeshError
              ? new ConnectError(`${error.reason} ${error.message}`, Code.Aborted)
              : error;
          }),
      ],
    },
  });
  const as = (name: string): Client<typeof CatalogRpc> =>
    createClient(CatalogRpc, {
      ...transport,
      unary: (method, signal, timeout, header, ...rest) =>
        transport.unary(method, signal, timeout, { ...Object.fromEntries(new Headers(header)), [WHO]: name }, ...rest),
    });
  return { catalog, client: as("local-operator"), as, trail };
}

import { create, equals, fromJson, toJson, type DescMessage, type JsonValue, type Message } from "@bufbuild/protobuf";
import { reachOf, type RecordChanges } from "@openhermit/caller";
import { sql, type Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import {
  AgentSchema,
  DefaultsSchema,
  DesiredState,
  ProviderSchema,
  type Agent,
  type Defaults,
  type Provider,
} from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, type TestDatabase } from "@openhermit/testing";
import type {
  ApplyOptions,
  FieldDifference,
  LastChange,
  ManifestPorts,
  ResourceChange,
} from "../src/manifest-ports.ts";

interface Kind<M extends Message> {
  type: string;
  resource: string;
  schema: DescMessage;
  idOf(message: M): string;
}

const DEFAULTS: Kind<Defaults> = {
  type: "defaults",
  resource: "agents",
  schema: DefaultsSchema,
  idOf: () => "defaults",
};
const PROVIDER: Kind<Provider> = {
  type: "provider",
  resource: "providers",
  schema: ProviderSchema,
  idOf: ({ name }) => name,
};
const AGENT: Kind<Agent> = { type: "agent", resource: "agents", schema: AgentSchema, idOf: ({ id }) => id };
const SKILL: Kind<Skill> = { type: "skill", resource: "skills", schema: SkillSchema, idOf: ({ id }) => id };
const SERVER: Kind<McpServer> = {
  type: "mcp-server",
  resource: "mcp-servers",
  schema: McpServerSchema,
  idOf: ({ id }) => id,
};

/** A database for {@link storedDomains}. */
export async function domainDatabase(): Promise<TestDatabase> {
  const test = await testDatabase([]);
  await test.database.query(sql`
    CREATE TABLE resources (type text, id text, version serial, message jsonb, PRIMARY KEY (type, id))`);
  await test.database.query(sql`
    CREATE TABLE trail (position serial, actor text, time timestamptz, action text, type text, id text, paths text[])`);
  return test;
}

/** How {@link storedDomains} behaves. */
export interface DomainOptions {
  /** Right by right: `providers:costly:write`. */
  lacks?: readonly string[];
  /** What fails when it is written for good. */
  failsAt?: string;
  /** Called when the domains are about to say or do something. */
  before?: (options: ApplyOptions) => Promise<void>;
}

/** Domains that store what they are given, in the same database, and know no rule besides rights and reach. */
export function storedDomains({ lacks = [], failsAt, before }: DomainOptions = {}): ManifestPorts {
  async function stored<M extends Message>(tx: Queryable, kind: Kind<M>): Promise<Map<string, [M, string]>> {
    const { rows } = await tx.query<{ id: string; version: number; message: JsonValue }>(
      sql`SELECT id, version, message FROM resources WHERE type = ${kind.type}::text ORDER BY id`,
    );
    return new Map(rows.map((row) => [row.id, [fromJson(kind.schema, row.message) as M, String(row.version)]]));
  }

  async function apply<M extends Message>(
    tx: Queryable,
    kind: Kind<M>,
    wanted: readonly M[],
    { dryRun, prune, mayWrite, caller, record }: ApplyOptions,
  ): Promise<ResourceChange[]> {
    const held = await stored(tx, kind);
    const reach = reachOf(caller);
    const inReach = (id: string): boolean => kind !== (AGENT as unknown) || reach.has(id);
    const named = new Set(wanted.map((message) => kind.idOf(message)));
    const removed = prune ? [...held.keys()].filter((id) => !named.has(id) && inReach(id)) : [];
    const changes: ResourceChange[] = [];
    const step = async (id: string, after: M | undefined): Promise<void> => {
      const [old, version = ""] = held.get(id) ?? [];
      const action = after === undefined ? "delete" : old === undefined ? "create" : "update";
      if (old !== undefined && after !== undefined && equals(kind.schema, old, after)) {
        changes.push({ id, action: "none", fields: [], version });
      } else if (!mayWrite(kind.resource, id) || !inReach(id)) {
        changes.push({ id, action: "refused", fields: [], version: "" });
      } else {
        const fields = differences(kind.schema, old, after);
        changes.push({ id, action, fields, version });
        if (dryRun) return;
        if (id === failsAt) throw new Error("the domain fails");
        if (after === undefined) {
          await tx.query(sql`DELETE FROM resources WHERE type = ${kind.type}::text AND id = ${id}::text`);
        } else {
          await tx.query(sql`
            INSERT INTO resources (type, id, message)
            VALUES (${kind.type}::text, ${id}::text, ${JSON.stringify(toJson(kind.schema, after))}::jsonb)
            ON CONFLICT (type, id) DO UPDATE SET message = excluded.message, version = excluded.version`);
        }
        const verb = action === "update" && kind !== (AGENT as unknown) ? "put" : action;
        await record(tx, [{ action: `${kind.resource}.${verb}`, targetType: kind.type, targetId: id, fields }]);
      }
    };
    for (const message of wanted) await step(kind.idOf(message), message);
    for (const id of removed) await step(id, undefined);
    return changes;
  }

  const messages = async <M extends Message>(tx: Queryable, kind: Kind<M>): Promise<M[]> =>
    [...(await stored(tx, kind)).values()].map(([message]) => message);
  return {
    providerNames: async (tx) => ["anthropic", "offline", ...(await stored(tx, PROVIDER)).keys()],
    agentTeams: async (tx) => new Map([...(await stored(tx, AGENT))].map(([id, [{ team }]]) => [id, team])),
    storedDefaults: async (tx) => (await messages(tx, DEFAULTS))[0]?.spec,
    isTeam: (teamId) => teamId === "red",
    may: (_, resource, verb, id) => !lacks.includes(`${resource}:${id}:${verb}`),
    async applyFleet(tx, wanted, options) {
      await before?.(options);
      const existing = await stored(tx, AGENT);
      // A state and a team that are not named stay.
      const agents = wanted.agents.map((agent) => {
        const old = existing.get(agent.id)?.[0];
        const isOpen = agent.desiredState === DesiredState.UNSPECIFIED;
        const desiredState = isOpen ? (old?.desiredState ?? DesiredState.RUNNING) : agent.desiredState;
        return create(AgentSchema, { ...agent, desiredState, team: agent.team || (old?.team ?? "") });
      });
      const defaults = wanted.defaults === undefined ? [] : [wanted.defaults];
      return {
        defaults: await apply(tx, DEFAULTS, defaults, options),
        providers: await apply(tx, PROVIDER, wanted.providers, options),
        agents: await apply(tx, AGENT, agents, options),
      };
    },
    applyCatalog: async (tx, wanted, options) => ({
      skills: await apply(tx, SKILL, wanted.skills, options),
      mcpServers: await apply(tx, SERVER, wanted.mcpServers, options),
    }),
    manifestApplied: async () => {},
    exportFleet: async (tx, reach) => ({
      defaults: (await messages(tx, DEFAULTS))[0],
      providers: await messages(tx, PROVIDER),
      agents: (await messages(tx, AGENT)).filter(({ id }) => reach.has(id)),
    }),
    exportCatalog: async (tx, reach) => {
      const mcpServers = await messages(tx, SERVER);
      const hidden = mcpServers.filter(({ agents }) => !agents.every((id) => reach.has(id)));
      return { skills: await messages(tx, SKILL), mcpServers, hiddenServerIds: hidden.map(({ id }) => id) };
    },
    async effectiveValues(db, agentIds) {
      const agents = await stored(db, AGENT);
      return new Map(
        agentIds.map((id) => {
          const leaves = leavesOf(AgentSchema, agents.get(id)?.[0]);
          return [id, new Map([...leaves].filter(([path]) => path !== "id").map(([path, value]) => [path, { value }]))];
        }),
      );
    },
    catalogsFor: async () => new Map(),
    async lastChanges(db, targets) {
      const { rows } = await db.query<LastChange & { type: string; id: string }>(
        sql`SELECT type, id, actor, time, action, paths FROM trail ORDER BY position DESC`,
      );
      const keys = new Set(targets.map(({ type, id }) => `${type}/${id}`));
      return Map.groupBy(
        rows.filter(({ type, id }) => keys.has(`${type}/${id}`)),
        ({ type, id }) => `${type}/${id}`,
      );
    },
  };
}

/** Writes the trail as it is read by {@link storedDomains}. */
export function recordFor(actor: string): RecordChanges {
  return async (tx, changes) => {
    for (const { action, targetType, targetId, fields = [] } of changes) {
      await tx.query(sql`
        INSERT INTO trail (actor, time, action, type, id, paths)
        VALUES (${actor}::text, now(), ${action}::text, ${targetType}::text, ${targetId}::text,
          ${fields.map(({ path }) => path)}::text[])`);
    }
  };
}

function differences(schema: DescMessage, before: Message | undefined, after: Message | undefined): FieldDifference[] {
  const [old, now] = [leavesOf(schema, before), leavesOf(schema, after)];
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((path) => {
    const [was, is] = [old.get(path) ?? "", now.get(path) ?? ""];
    const sensitive = /^(env|headers)\./.test(path);
    const show = (value: string): string => (sensitive && value !== "" ? "(sensitive)" : value);
    return was === is ? [] : [{ path, before: show(was), after: show(is), sensitive }];
  });
}

function leavesOf(schema: DescMessage, message: Message | undefined): Map<string, string> {
  const leaves = new Map<string, string>();
  const flatten = (prefix: string, value: JsonValue): void => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      leaves.set(prefix, typeof value === "string" ? value : JSON.stringify(value));
      return;
    }
    for (const [key, child] of Object.entries(value)) {
      const isLevel = prefix === "" && ["spec", "stdio", "http"].includes(key);
      flatten(isLevel ? "" : prefix === "" ? key : `${prefix}.${key}`, child);
    }
  };
  if (message !== undefined) flatten("", toJson(schema, message));
  return leaves;
}

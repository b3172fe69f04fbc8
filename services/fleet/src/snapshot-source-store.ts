import { create, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { ProviderSchema, type AgentSpec, type Provider, type ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { AGENT_COLUMNS, toStoredAgent, type AgentRow } from "./agent-store.ts";
import { DEFAULTS_OF_LIST, defaultsOfList, EFFECTIVE_PROVIDER, FLEET_REVISION } from "./defaults-store.ts";
import { effectiveSpec, providerOf } from "./effective-spec.ts";

/** An agent as a snapshot is compiled from it. */
export interface RevisedAgent {
  readonly id: string;
  readonly displayName: string;
  /** The effective one. */
  readonly spec: AgentSpec;
  /** Undefined when it is not stored. */
  readonly provider: Provider | undefined;
  /** The fleet's part of the generation. */
  readonly revision: bigint;
}

interface Row extends AgentRow {
  whole_revision: bigint;
  defaults: JsonValue | null;
  kind: number | null;
  base_url: string;
  api_key_env: string;
}

/** The agents of a list that exist, with their providers and the fleet's part of their generations; one statement. */
export async function readRevisedAgents(db: Queryable, ids: readonly string[]): Promise<RevisedAgent[]> {
  const { rows } = await db.query<Row>(sql`
    SELECT ${AGENT_COLUMNS}, a.revision + ${FLEET_REVISION} AS whole_revision, ${DEFAULTS_OF_LIST},
      p.kind, p.base_url, p.api_key_env
    FROM fleet.agents a LEFT JOIN fleet.providers p ON p.name = ${EFFECTIVE_PROVIDER} AND NOT p.removed
    WHERE a.id = ANY(${ids}::text[]) ORDER BY a.id`);
  const defaults = defaultsOfList(rows);
  return rows.map((row) => {
    const { id, displayName, spec: own } = toStoredAgent(row);
    const spec = effectiveSpec(own, defaults);
    const { base_url: baseUrl, api_key_env: apiKeyEnv, kind } = row;
    const name = providerOf(spec);
    const provider =
      kind === null ? undefined : create(ProviderSchema, { name, kind: kind as ProviderKind, baseUrl, apiKeyEnv });
    return { id, displayName, spec, provider, revision: row.whole_revision };
  });
}

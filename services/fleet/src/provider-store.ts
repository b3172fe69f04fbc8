import { create } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { ProviderSchema, type Provider, type ProviderKind } from "@openhermit/protocol/fleet/v1/agent";

interface ProviderRow {
  name: string;
  kind: number;
  base_url: string;
  api_key_env: string;
  custom: boolean;
  revision: bigint;
}

/** A provider as stored. */
export interface StoredProvider {
  readonly provider: Provider;
  /** Whether somebody put it; else it is a built-in one, as some gateway brought it. */
  readonly custom: boolean;
  /** Changes with every change. */
  readonly revision: bigint;
}

const SELECT = sql`SELECT name, kind, base_url, api_key_env, custom, revision FROM fleet.providers WHERE NOT removed`;

/** The stored providers by name: those somebody put, and the built-in ones as some gateway brought them. */
export async function readProviders(db: Queryable): Promise<Map<string, StoredProvider>> {
  const { rows } = await db.query<ProviderRow>(sql`${SELECT} ORDER BY name`);
  return new Map(rows.map((row) => [row.name, toStored(row)]));
}

/** One stored provider, locked to the end of the transaction. */
export async function lockProvider(tx: Queryable, name: string): Promise<StoredProvider | undefined> {
  const { rows } = await tx.query<ProviderRow>(sql`${SELECT} AND name = ${name} FOR UPDATE`);
  return rows[0] === undefined ? undefined : toStored(rows[0]);
}

/**
 * Creates or replaces providers, as somebody put them; one statement. False when all were so already. The numbers are drawn
 * under the rows' locks.
 */
export async function writeProviders(tx: Queryable, providers: readonly Provider[]): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO fleet.providers AS p (name, kind, base_url, api_key_env, custom, revision)
    SELECT n.name, n.kind, n.base_url, n.api_key_env, true, nextval('fleet.revision_numbers')
    FROM ${unnested(providers)} ORDER BY n.name
    ON CONFLICT (name) DO UPDATE SET
      kind = excluded.kind, base_url = excluded.base_url, api_key_env = excluded.api_key_env, custom = true,
      removed = false,
      revision = CASE
        WHEN (p.kind, p.base_url, p.api_key_env, p.removed) = (excluded.kind, excluded.base_url, excluded.api_key_env, false)
        THEN p.revision ELSE nextval('fleet.revision_numbers') END
    WHERE (p.kind, p.base_url, p.api_key_env, p.custom, p.removed)
      IS DISTINCT FROM (excluded.kind, excluded.base_url, excluded.api_key_env, true, false)`);
  return rowCount > 0;
}

/**
 * Removes what somebody put; one statement. `builtins` are those of these names that are built in: they are as they were from
 * the start again. The rows stay, since their revisions are part of every generation.
 */
export async function removeProviders(
  tx: Queryable,
  names: readonly string[],
  builtins: readonly Provider[],
): Promise<void> {
  await tx.query(sql`
    UPDATE fleet.providers p SET
      kind = coalesce(n.kind, p.kind), base_url = coalesce(n.base_url, ''), api_key_env = coalesce(n.api_key_env, ''),
      custom = false, removed = n.name IS NULL, revision = nextval('fleet.revision_numbers')
    FROM unnest(${names}::text[]) AS gone (name) LEFT JOIN ${unnested(builtins)} ON n.name = gone.name
    WHERE p.name = gone.name`);
}

/**
 * Stores the built-in providers where nobody put one of the name, so that a new value (another OLLAMA_HOST) gives
 * agents a new generation. Returns how many changed.
 */
export async function storeBuiltins(db: Queryable, providers: readonly Provider[]): Promise<number> {
  const { rowCount } = await db.query(sql`
    INSERT INTO fleet.providers AS p (name, kind, base_url, api_key_env, custom, revision)
    SELECT n.name, n.kind, n.base_url, n.api_key_env, false, nextval('fleet.revision_numbers')
    FROM ${unnested(providers)} ORDER BY n.name
    ON CONFLICT (name) DO UPDATE SET
      kind = excluded.kind, base_url = excluded.base_url, api_key_env = excluded.api_key_env, removed = false,
      revision = nextval('fleet.revision_numbers')
    WHERE NOT p.custom
      AND (p.kind, p.base_url, p.api_key_env, p.removed)
        IS DISTINCT FROM (excluded.kind, excluded.base_url, excluded.api_key_env, false)`);
  return rowCount;
}

/** Providers as the rows of a table `n`. */
function unnested(providers: readonly Provider[]): ReturnType<typeof sql> {
  return sql`unnest(
    ${providers.map(({ name }) => name)}::text[], ${providers.map(({ kind }) => kind)}::smallint[],
    ${providers.map(({ baseUrl }) => baseUrl)}::text[], ${providers.map(({ apiKeyEnv }) => apiKeyEnv)}::text[]
  ) AS n (name, kind, base_url, api_key_env)`;
}

function toStored(row: ProviderRow): StoredProvider {
  return {
    provider: create(ProviderSchema, {
      name: row.name,
      kind: row.kind as ProviderKind,
      baseUrl: row.base_url,
      apiKeyEnv: row.api_key_env,
    }),
    custom: row.custom,
    revision: row.revision,
  };
}

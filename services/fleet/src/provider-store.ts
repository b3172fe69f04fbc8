import { create } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { ProviderSchema, type Provider, type ProviderKind } from "@openhermit/protocol/fleet/v1/agent";

interface ProviderRow {
  name: string;
  kind: number;
  base_url: string;
  api_key_env: string;
}

/** The stored providers by name: those somebody put, and the built-in ones as some gateway brought them. */
export async function readProviders(db: Queryable): Promise<Map<string, Provider>> {
  const { rows } = await db.query<ProviderRow>(
    sql`SELECT name, kind, base_url, api_key_env FROM fleet.providers ORDER BY name`,
  );
  return new Map(rows.map((row) => [row.name, toProvider(row)]));
}

/** One stored provider, locked to the end of the transaction. */
export async function lockProvider(tx: Queryable, name: string): Promise<Provider | undefined> {
  const { rows } = await tx.query<ProviderRow>(
    sql`SELECT name, kind, base_url, api_key_env FROM fleet.providers WHERE name = ${name} FOR UPDATE`,
  );
  return rows[0] === undefined ? undefined : toProvider(rows[0]);
}

/** Creates or replaces a provider; false when it was so already. The number is drawn under the row's lock. */
export async function writeProvider(db: Queryable, provider: Provider): Promise<boolean> {
  const { rowCount } = await db.query(sql`
    INSERT INTO fleet.providers AS p (name, kind, base_url, api_key_env, custom, revision)
    VALUES (${provider.name}, ${provider.kind}::smallint, ${provider.baseUrl}, ${provider.apiKeyEnv}, true,
      nextval('fleet.revision_numbers'))
    ON CONFLICT (name) DO UPDATE SET
      kind = excluded.kind, base_url = excluded.base_url, api_key_env = excluded.api_key_env, custom = true,
      revision = CASE
        WHEN (p.kind, p.base_url, p.api_key_env) = (excluded.kind, excluded.base_url, excluded.api_key_env)
        THEN p.revision ELSE nextval('fleet.revision_numbers') END
    WHERE (p.kind, p.base_url, p.api_key_env, p.custom)
      IS DISTINCT FROM (excluded.kind, excluded.base_url, excluded.api_key_env, true)`);
  return rowCount > 0;
}

/**
 * Stores the built-in providers where nobody put one of the name, so that a new value (another OLLAMA_HOST) gives
 * agents a new generation. Returns how many changed.
 */
export async function storeBuiltins(db: Queryable, providers: readonly Provider[]): Promise<number> {
  const { rowCount } = await db.query(sql`
    INSERT INTO fleet.providers AS p (name, kind, base_url, api_key_env, custom, revision)
    SELECT n.name, n.kind, n.base_url, n.api_key_env, false, nextval('fleet.revision_numbers')
    FROM unnest(
      ${providers.map(({ name }) => name)}::text[], ${providers.map(({ kind }) => kind)}::smallint[],
      ${providers.map(({ baseUrl }) => baseUrl)}::text[], ${providers.map(({ apiKeyEnv }) => apiKeyEnv)}::text[]
    ) AS n (name, kind, base_url, api_key_env)
    ORDER BY n.name
    ON CONFLICT (name) DO UPDATE SET
      kind = excluded.kind, base_url = excluded.base_url, api_key_env = excluded.api_key_env,
      revision = nextval('fleet.revision_numbers')
    WHERE NOT p.custom
      AND (p.kind, p.base_url, p.api_key_env) IS DISTINCT FROM (excluded.kind, excluded.base_url, excluded.api_key_env)`);
  return rowCount;
}

function toProvider(row: ProviderRow): Provider {
  return create(ProviderSchema, {
    name: row.name,
    kind: row.kind as ProviderKind,
    baseUrl: row.base_url,
    apiKeyEnv: row.api_key_env,
  });
}

import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { AgentSpecSchema, type AgentSpec } from "@openhermit/protocol/fleet/v1/agent";
import type { StoredDefaults } from "./defaults.ts";

interface DefaultsRow {
  spec: JsonValue;
  version: bigint;
  update_time: Date | null;
}

const SELECT = sql`SELECT spec, version, update_time FROM fleet.defaults`;

/** The launcher of an agent `a` with the defaults; the subquery is read once a statement. */
export const EFFECTIVE_LAUNCHER = sql`coalesce(
  a.spec->>'launcher', (SELECT spec->>'launcher' FROM fleet.defaults), 'LAUNCHER_PROCESS')`;

/** The name of the provider of an agent `a` with the defaults. */
export const EFFECTIVE_PROVIDER = sql`split_part(
  coalesce(a.spec->>'model', (SELECT spec->>'model' FROM fleet.defaults)), '/', 1)`;

/** The fleet's own part of every agent's generation: a sum, since the revision of each row only grows. */
export const FLEET_REVISION = sql`(
  SELECT (SELECT coalesce(sum(p.revision), 0) FROM fleet.providers p) +
    (SELECT coalesce(sum(d.revision), 0) FROM fleet.defaults d))::bigint`;

/**
 * The spec of the defaults, in the first row of a list of agents `a` that is ordered by their ids: read in the same statement, so
 * that it belongs to the generation, and not once for each agent, since it may be large.
 */
export const DEFAULTS_OF_LIST = sql`
  CASE WHEN row_number() OVER (ORDER BY a.id) = 1 THEN (SELECT spec FROM fleet.defaults) END AS defaults`;

/** What {@link DEFAULTS_OF_LIST} gave. */
export function defaultsOfList(rows: readonly { defaults: JsonValue | null }[]): AgentSpec {
  const spec = rows[0]?.defaults;
  return spec === null || spec === undefined ? create(AgentSpecSchema) : toSpec(spec);
}

/** A spec as stored. A field that a newer gateway wrote is not known here and must not make it unreadable. */
export function toSpec(spec: JsonValue): AgentSpec {
  return fromJson(AgentSpecSchema, spec, { ignoreUnknownFields: true });
}

/** A spec as it is stored. */
export function specText(spec: AgentSpec): string {
  return JSON.stringify(toJson(AgentSpecSchema, spec));
}

/** The defaults, without a lock. */
export async function readDefaults(db: Queryable): Promise<StoredDefaults> {
  return toDefaults((await db.query<DefaultsRow>(SELECT)).rows);
}

/**
 * The defaults, while nobody takes away what agents refer to: for who writes an agent's spec. To be locked before any agent or
 * provider, so that nobody waits in a circle.
 */
export async function holdDefaults(tx: Queryable): Promise<StoredDefaults> {
  return toDefaults((await tx.query<DefaultsRow>(sql`${SELECT} FOR SHARE`)).rows);
}

/** The defaults, while nobody writes an agent's spec: for who takes away what agents refer to. Locked first, as above. */
export async function lockDefaults(tx: Queryable): Promise<StoredDefaults> {
  return toDefaults((await tx.query<DefaultsRow>(sql`${SELECT} FOR UPDATE`)).rows);
}

/** Replaces the defaults. The numbers are drawn under the row's lock, so they only grow. */
export async function writeDefaults(tx: Queryable, spec: AgentSpec): Promise<void> {
  await tx.query(sql`
    UPDATE fleet.defaults SET
      spec = ${specText(spec)}::jsonb, version = nextval('fleet.revision_numbers'),
      revision = nextval('fleet.revision_numbers'), update_time = now()`);
}

/** An agent that stands in the way when something is taken away. */
export interface DependentAgent {
  readonly id: string;
  readonly team: string;
  /** The provider of its own model; empty when it has none. */
  readonly provider: string;
}

/**
 * The agents, but for those named, whose own model is of one of the providers; with `withoutModel` also those that have none
 * of their own. In the order of their ids.
 */
export async function readDependents(
  tx: Queryable,
  needs: { providers: readonly string[]; withoutModel: boolean; except: readonly string[] },
): Promise<DependentAgent[]> {
  const { rows } = await tx.query<DependentAgent>(sql`
    SELECT a.id, a.team, coalesce(split_part(a.spec->>'model', '/', 1), '') AS provider FROM fleet.agents a
    WHERE a.id <> ALL(${needs.except}::text[])
      AND (split_part(a.spec->>'model', '/', 1) = ANY(${needs.providers}::text[])
        OR (${needs.withoutModel}::boolean AND a.spec->>'model' IS NULL))
    ORDER BY a.id`);
  return rows;
}

function toDefaults([row]: readonly DefaultsRow[]): StoredDefaults {
  if (row === undefined) throw new Error("the row of the defaults is missing");
  return { spec: toSpec(row.spec), version: row.version, updateTime: row.update_time ?? undefined };
}

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { AgentHealthSchema } from "@openhermit/protocol/health/v1/health";
import type { Report } from "./fleet-health.ts";

/**
 * The channel on which changes are announced; the payload is the instance that wrote, a space, and the agent. What is
 * deleted is announced in nobody's name, so that every gateway reads.
 */
export const HEALTH_CHANNEL = "openhermit_health";

/** Writes reports, unless newer ones are stored, and announces those written. One statement. */
export async function writeReports(
  db: Queryable,
  reports: readonly (readonly [agentId: string, report: Report])[],
  instance: string,
): Promise<void> {
  const messages = reports.map(([, { components }]) =>
    toBinary(AgentHealthSchema, create(AgentHealthSchema, { components: [...components] })),
  );
  await db.query(sql`
    WITH written AS (
      INSERT INTO health.reports AS r (agent_id, report_time, report, attached)
      SELECT * FROM unnest(
        ${reports.map(([agentId]) => agentId)}::text[], ${reports.map(([, { reportTime }]) => reportTime)}::timestamptz[],
        ${messages}::bytea[], ${reports.map(([, { attached }]) => attached)}::boolean[])
      ON CONFLICT (agent_id) DO UPDATE
        SET report_time = excluded.report_time, report = excluded.report, attached = excluded.attached
      WHERE r.report_time <= excluded.report_time
      RETURNING agent_id)
    SELECT pg_notify(${HEALTH_CHANNEL}, ${instance}::text || ' ' || agent_id) FROM written`);
}

/** The stored reports of the agents named, or of all. */
export async function readReports(db: Queryable, agentIds: readonly string[] | "all"): Promise<Map<string, Report>> {
  const { rows } = await db.query<{ agent_id: string; report_time: Date; report: Buffer; attached: boolean }>(
    agentIds === "all"
      ? sql`SELECT agent_id, report_time, report, attached FROM health.reports`
      : sql`SELECT agent_id, report_time, report, attached FROM health.reports WHERE agent_id = ANY(${agentIds}::text[])`,
  );
  return new Map(
    rows.map((row) => {
      const { components } = fromBinary(AgentHealthSchema, row.report);
      return [row.agent_id, { reportTime: row.report_time, components, attached: row.attached }];
    }),
  );
}

/** Removes what is stored of these agents, and announces it. One statement. */
export async function deleteReports(db: Queryable, agentIds: readonly string[]): Promise<void> {
  await db.query(sql`
    WITH deleted AS (DELETE FROM health.reports WHERE agent_id = ANY(${agentIds}::text[]) RETURNING agent_id)
    SELECT pg_notify(${HEALTH_CHANNEL}, '- ' || agent_id) FROM deleted`);
}

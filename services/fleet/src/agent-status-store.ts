import { sql, type Queryable } from "@openhermit/postgres";
import type { LinkObservation, Observation, ProcessObservation, ProcessPhase } from "./agent-status.ts";

/** The columns of fleet.agent_status, as joined to an agent: all null when nothing was ever observed. */
export interface StatusRow {
  sidecar_id: string | null;
  attached: boolean | null;
  ready: boolean | null;
  link_since: Date | null;
  link_detail: string | null;
  epoch: bigint | null;
  host: string | null;
  pid: number | null;
  sidecar_version: string | null;
  applied_generation: bigint | null;
  rejected_reason: string | null;
  rejected_generation: bigint | null;
  process_phase: ProcessPhase | null;
  process_since: Date | null;
  process_detail: string | null;
  restart_count: number | null;
  next_start_time: Date | null;
}

/** The columns of {@link StatusRow}, of a table `s`. */
export const STATUS_COLUMNS = sql`s.sidecar_id, s.attached, s.ready, s.link_since, s.link_detail, s.epoch, s.host, s.pid,
  s.sidecar_version, s.applied_generation, s.rejected_reason, s.rejected_generation, s.process_phase, s.process_since, s.process_detail,
  s.restart_count, s.next_start_time`;

/** What a row says. */
export function toObservation(row: StatusRow): Observation {
  return {
    link: {
      sidecarId: row.sidecar_id ?? "",
      attached: row.attached ?? false,
      ready: row.ready ?? false,
      since: row.link_since ?? undefined,
      detail: row.link_detail ?? "",
      epoch: row.epoch ?? 0n,
      host: row.host ?? "",
      pid: row.pid ?? 0,
      version: row.sidecar_version ?? "",
      appliedGeneration: row.applied_generation ?? 0n,
      rejectedReason: row.rejected_reason ?? "",
      rejectedGeneration: row.rejected_generation ?? 0n,
    },
    process: {
      phase: row.process_phase ?? "none",
      since: row.process_since ?? undefined,
      detail: row.process_detail ?? "",
      restartCount: row.restart_count ?? 0,
      nextStartTime: row.next_start_time ?? undefined,
    },
  };
}

/**
 * Writes links as their gateway sees them; one statement for all. An older epoch of the same sidecar, or the end of a
 * link of another sidecar than the row's, changes nothing. Agents that don't exist any more are left out.
 */
export async function writeLinks(
  db: Queryable,
  links: readonly (LinkObservation & { agentId: string })[],
  instanceId: string,
): Promise<void> {
  const column = <T>(pick: (link: LinkObservation & { agentId: string }) => T): T[] => links.map(pick);
  await db.query(sql`
    INSERT INTO fleet.agent_status AS s (
      agent_id, sidecar_id, attached, ready, link_since, link_detail, link_instance, epoch, host, pid,
      sidecar_version, applied_generation, rejected_reason, rejected_generation)
    SELECT n.agent_id, n.sidecar_id, n.attached, n.ready, n.since, n.detail,
      CASE WHEN n.attached THEN ${instanceId}::text ELSE '' END,
      n.epoch, n.host, n.pid, n.version, n.applied, n.rejected, n.rejected_generation
    FROM unnest(
      ${column((link) => link.agentId)}::text[], ${column((link) => link.sidecarId)}::text[],
      ${column((link) => link.attached)}::boolean[], ${column((link) => link.ready)}::boolean[],
      ${column((link) => link.since ?? new Date())}::timestamptz[], ${column((link) => link.detail)}::text[],
      ${column((link) => link.epoch)}::bigint[], ${column((link) => link.host)}::text[],
      ${column((link) => link.pid)}::int[], ${column((link) => link.version)}::text[],
      ${column((link) => link.appliedGeneration)}::bigint[], ${column((link) => link.rejectedReason)}::text[],
      ${column((link) => link.rejectedGeneration)}::bigint[]
    ) AS n (agent_id, sidecar_id, attached, ready, since, detail, epoch, host, pid, version, applied, rejected,
      rejected_generation)
    JOIN fleet.agents a ON a.id = n.agent_id
    ORDER BY n.agent_id
    ON CONFLICT (agent_id) DO UPDATE SET
      sidecar_id = excluded.sidecar_id, attached = excluded.attached, ready = excluded.ready,
      link_since = excluded.link_since, link_detail = excluded.link_detail, link_instance = excluded.link_instance,
      epoch = excluded.epoch, host = excluded.host, pid = excluded.pid, sidecar_version = excluded.sidecar_version,
      applied_generation = CASE WHEN excluded.ready THEN excluded.applied_generation ELSE s.applied_generation END,
      rejected_reason = excluded.rejected_reason, rejected_generation = excluded.rejected_generation
    WHERE CASE WHEN s.sidecar_id = excluded.sidecar_id THEN s.epoch <= excluded.epoch ELSE excluded.attached END`);
}

/**
 * Writes processes as their supervisor sees them; one statement for all. Agents that another gateway supervises, or
 * that don't exist any more, are left out.
 */
export async function writeProcesses(
  db: Queryable,
  processes: readonly (ProcessObservation & { agentId: string })[],
  gatewayId: string,
): Promise<void> {
  const column = <T>(pick: (process: ProcessObservation & { agentId: string }) => T): T[] => processes.map(pick);
  await db.query(sql`
    INSERT INTO fleet.agent_status AS s (
      agent_id, process_phase, process_since, process_detail, restart_count, next_start_time)
    SELECT n.agent_id, n.phase, n.since, n.detail, n.restarts, n.next_start
    FROM unnest(
      ${column((process) => process.agentId)}::text[], ${column((process) => process.phase)}::text[],
      ${column((process) => process.since ?? new Date())}::timestamptz[], ${column((process) => process.detail)}::text[],
      ${column((process) => process.restartCount)}::int[],
      ${column((process) => process.nextStartTime ?? null)}::timestamptz[]
    ) AS n (agent_id, phase, since, detail, restarts, next_start)
    JOIN fleet.agents a ON a.id = n.agent_id
    WHERE NOT EXISTS (
      SELECT FROM fleet.sidecar_claims c WHERE c.agent_id = n.agent_id AND c.gateway_id <> ${gatewayId})
    ORDER BY n.agent_id
    ON CONFLICT (agent_id) DO UPDATE SET
      process_phase = excluded.process_phase, process_since = excluded.process_since,
      process_detail = excluded.process_detail, restart_count = excluded.restart_count,
      next_start_time = excluded.next_start_time`);
}

/**
 * Marks links as lost whose gateway is gone: its instance has ended or been replaced, or, when `othersMayBeGone`, the
 * lease of another gateway has run out. Returns the agents.
 */
export async function loseLinksOfGoneGateways(
  db: Queryable,
  gatewayId: string,
  { othersMayBeGone }: { othersMayBeGone: boolean },
): Promise<string[]> {
  const { rows } = await db.query<{ agent_id: string }>(sql`
    UPDATE fleet.agent_status s SET
      attached = false, ready = false, link_since = now(), link_instance = '',
      link_detail = 'the gateway that it was attached to is gone; it attaches again by itself'
    WHERE s.attached AND NOT EXISTS (
      SELECT FROM fleet.gateways g
      WHERE g.instance_id = s.link_instance
        AND (g.id = ${gatewayId} OR g.lease_until > now() OR NOT ${othersMayBeGone}::boolean))
    RETURNING s.agent_id`);
  return rows.map((row) => row.agent_id);
}

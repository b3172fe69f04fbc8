import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { newEventId } from "@openhermit/ids";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import type { Log } from "@openhermit/telemetry";

/** Stores what the gateway sees happen to sidecars. */
export interface FleetEvents {
  /** A sidecar of an agent started, attached, was detached or stopped. */
  sidecarChanged(
    agentId: string,
    sidecarId: string,
    change: "started" | "attached" | "detached" | "stopped",
    detail: string,
  ): void;
  /** A sidecar exited without being told to. */
  sidecarCrashed(agentId: string, sidecarId: string, message: string): void;
  /** A snapshot was applied, or rejected with a reason. */
  configChanged(agentId: string, sidecarId: string, generation: bigint, rejectedReason: string): void;
}

/** Makes events and hands them over; one that can't be stored is logged, since nothing that runs may wait for it. */
export function createFleetEvents(record: (events: Event[]) => Promise<void>, log: Log): FleetEvents {
  const send = (agentId: string, sidecarId: string, detail: MessageInitShape<typeof EventSchema>["detail"]): void => {
    const event = create(EventSchema, {
      id: newEventId(),
      time: timestampNow(),
      agentId,
      sidecarId,
      ...(detail && { detail }),
    });
    record([event]).catch((error: unknown) => log.warn({ err: error, agent_id: agentId }, "event not stored"));
  };
  return {
    sidecarChanged: (agentId, sidecarId, change, detail) =>
      send(agentId, sidecarId, { case: "sidecarChange", value: { change, detail } }),
    sidecarCrashed: (agentId, sidecarId, message) =>
      send(agentId, sidecarId, { case: "failure", value: { source: "runtime", reason: "SIDECAR_CRASHED", message } }),
    configChanged: (agentId, sidecarId, generation, rejectedReason) =>
      send(agentId, sidecarId, { case: "configChange", value: { generation, rejectedReason } }),
  };
}

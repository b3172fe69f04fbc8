import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AgentSchema, AgentStatusSchema, Launcher, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { etagOf, toDesiredMessage } from "./agent.ts";
import { observedState } from "./agent-status.ts";
import type { ObservedAgent } from "./agent-store.ts";

/** An agent as stored and observed, as a message. `catalogRevision` is the catalogue's part of its generation. */
export function toAgentMessage({ agent, observation, revision }: ObservedAgent, catalogRevision: bigint): Agent {
  const { link, process } = observation;
  const wanted = { ...agent, launcher: agent.spec.launcher };
  const { state, since, detail } = observedState(wanted, observation);
  const isProcess = agent.spec.launcher === Launcher.PROCESS;
  const nextStart = isProcess ? process.nextStartTime : undefined;
  return create(AgentSchema, {
    ...toDesiredMessage(agent),
    status: create(AgentStatusSchema, {
      state,
      stateSince: timestampFromDate(since),
      detail,
      desiredGeneration: revision + catalogRevision,
      appliedGeneration: link.appliedGeneration,
      rejectedReason: link.rejectedReason,
      sidecarId: link.sidecarId === "" && isProcess ? agent.id : link.sidecarId,
      host: link.attached ? link.host : "",
      pid: link.attached ? link.pid : 0,
      sidecarVersion: link.attached ? link.version : "",
      restartCount: isProcess ? process.restartCount : 0,
      ...(nextStart !== undefined && { nextStartTime: timestampFromDate(nextStart) }),
    }),
    etag: etagOf(agent.version),
    createTime: timestampFromDate(agent.createTime),
    updateTime: timestampFromDate(agent.updateTime),
  });
}

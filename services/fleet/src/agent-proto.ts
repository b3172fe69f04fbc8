import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AgentSchema,
  AgentStatusSchema,
  DefaultsSchema,
  Launcher,
  type Agent,
  type Defaults,
} from "@openhermit/protocol/fleet/v1/agent";
import { etagOf, toDesiredMessage } from "./agent.ts";
import { observedState } from "./agent-status.ts";
import type { StoredDefaults } from "./defaults.ts";
import { effectiveSpec, valueSources } from "./effective-spec.ts";
import type { ObservedAgent } from "./observed-agent-store.ts";

/** An agent as stored and observed, as a message. `catalogRevision` is the catalogue's part of its generation. */
export function toAgentMessage(
  { agent, defaults, observation, revision }: ObservedAgent,
  catalogRevision: bigint,
): Agent {
  const { link, process } = observation;
  const effective = effectiveSpec(agent.spec, defaults);
  const generation = revision + catalogRevision;
  const { state, since, detail } = observedState({ ...agent, launcher: effective.launcher, generation }, observation);
  const isProcess = effective.launcher === Launcher.PROCESS;
  const nextStart = isProcess ? process.nextStartTime : undefined;
  return create(AgentSchema, {
    ...toDesiredMessage(agent),
    effectiveSpec: effective,
    sources: Object.fromEntries(valueSources(agent.spec, defaults)),
    status: create(AgentStatusSchema, {
      state,
      stateSince: timestampFromDate(since),
      detail,
      desiredGeneration: generation,
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

/** The defaults as a message. */
export function toDefaultsMessage({ spec, version, updateTime }: StoredDefaults): Defaults {
  return create(DefaultsSchema, {
    spec,
    etag: etagOf(version),
    ...(updateTime !== undefined && { updateTime: timestampFromDate(updateTime) }),
  });
}

import { create, equals, toBinary } from "@bufbuild/protobuf";
import { createHash } from "node:crypto";
import { alreadyExists, conflict, failedPrecondition, invalidArgument, type MeshError } from "@openhermit/errors";
import { isAgentId } from "@openhermit/ids";
import {
  AgentSchema,
  AgentSpecSchema,
  DesiredState,
  Launcher,
  type Agent,
  type AgentSpec,
} from "@openhermit/protocol/fleet/v1/agent";
import { MODEL, normalSpec } from "./effective-spec.ts";

/**
 * An agent as a caller wants it: the message without output-only fields. Its spec is its own:
 * what it takes from the defaults of the fleet is not in it.
 */
export interface DesiredAgent {
  readonly id: string;
  readonly displayName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: AgentSpec;
  readonly desiredState: typeof DesiredState.RUNNING | typeof DesiredState.STOPPED;
  /** The team that owns the agent; empty: it is everybody's. */
  readonly team: string;
}

/** An agent as stored. */
export interface StoredAgent extends DesiredAgent {
  /** Changes with every change. */
  readonly version: bigint;
  /** Changes with what a snapshot holds. */
  readonly revision: bigint;
  readonly desiredSince: Date;
  readonly requestId: string;
  readonly requestDigest: string;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** Reads what a caller wants. Throws invalid_argument for what the rules of the contract alone can't refuse. */
export function desiredAgent(message: Agent): DesiredAgent {
  const { id, displayName, labels, spec, desiredState, team } = message;
  const fields = { agent_id: id };
  if (!isAgentId(id)) {
    throw invalidArgument("AGENT_ID_INVALID", `"${id.slice(0, 80)}" can't be an agent's id`, {
      hint: "Use lower-case letters, digits and dashes, at most 63, starting with a letter.",
      fields,
    });
  }
  if (spec !== undefined && spec.model !== "" && !MODEL.test(spec.model)) throw modelInvalid(id);
  return {
    id,
    displayName: displayName === "" ? id : displayName,
    labels: { ...labels },
    spec: normalSpec(spec),
    desiredState: desiredState === DesiredState.STOPPED ? DesiredState.STOPPED : DesiredState.RUNNING,
    team,
  };
}

function modelInvalid(id: string): MeshError {
  return invalidArgument("AGENT_MODEL_INVALID", `agent "${id}" has no model of the form provider/model`, {
    hint: "Set its model, for example offline/echo.",
    fields: { agent_id: id },
  });
}

/** Throws invalid_argument for an agent that has no model, neither its own nor that of the defaults. */
export function checkModel({ id, spec }: DesiredAgent, defaults: AgentSpec): void {
  if (spec.model !== "" || defaults.model !== "") return;
  throw invalidArgument("AGENT_MODEL_INVALID", `agent "${id}" has no model, and the defaults of the fleet have none`, {
    hint: "Set its model, for example offline/echo, or a model in the defaults.",
    fields: { agent_id: id },
  });
}

/** Whether two agents are wanted the same. */
export function sameAgent(a: DesiredAgent, b: DesiredAgent): boolean {
  return equals(AgentSchema, toDesiredMessage(a), toDesiredMessage(b));
}

/** Whether two agents give the same snapshot. */
export function sameSnapshot(a: DesiredAgent, b: DesiredAgent): boolean {
  return a.displayName === b.displayName && equals(AgentSpecSchema, a.spec, b.spec);
}

/** What is wanted, as a message without output-only fields. */
export function toDesiredMessage({ id, displayName, labels, spec, desiredState, team }: DesiredAgent): Agent {
  return create(AgentSchema, { id, displayName, labels: { ...labels }, spec, desiredState, team });
}

/** Tells a repeated CreateAgent from another one that has the same request id. */
export function digestOf(agent: DesiredAgent): string {
  const { labels, ...rest } = agent;
  const ordered = Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return createHash("sha256")
    .update(toBinary(AgentSchema, toDesiredMessage({ ...rest, labels: ordered })))
    .digest("hex");
}

/** The etag of a version. */
export function etagOf(version: bigint): string {
  return version.toString(36);
}

/** Throws conflict when an etag is given and the agent has another. */
export function checkEtag(agent: StoredAgent, etag: string): void {
  if (etag === "" || etagOf(agent.version) === etag) return;
  throw conflict("AGENT_CHANGED", `agent "${agent.id}" was changed by somebody else in between`, {
    hint: "Read it again, then repeat the change.",
    fields: { agent_id: agent.id },
  });
}

/** The error for an id in use. */
export function agentExists(id: string): MeshError {
  return alreadyExists("AGENT_EXISTS", `agent "${id}" exists already`, {
    hint: "Update it, or choose another id.",
    fields: { agent_id: id },
  });
}

/** Throws failed_precondition when no gateway may end and start the agent's sidecar. `launcher` is the effective one. */
export function checkRestartable(agent: StoredAgent, launcher: Launcher): void {
  const fields = { agent_id: agent.id };
  if (agent.desiredState === DesiredState.STOPPED) {
    throw failedPrecondition("AGENT_STOPPED", `agent "${agent.id}" is stopped`, { hint: "Start it instead.", fields });
  }
  if (launcher === Launcher.EXTERNAL) {
    throw failedPrecondition(
      "AGENT_LAUNCHED_EXTERNALLY",
      `the sidecar of agent "${agent.id}" is not started by a gateway`,
      { hint: "Restart it where it was started.", fields },
    );
  }
}

/** Throws failed_precondition when the agent's sidecar is started by a gateway (its effective launcher) and so may not join by hand. */
export function checkJoinable(agent: { id: string; launcher: Launcher }): void {
  if (agent.launcher === Launcher.EXTERNAL) return;
  throw failedPrecondition(
    "AGENT_LAUNCHED_BY_GATEWAY",
    `the sidecar of agent "${agent.id}" is started by the gateway itself`,
    { hint: "Set the agent's launcher to external first.", fields: { agent_id: agent.id } },
  );
}

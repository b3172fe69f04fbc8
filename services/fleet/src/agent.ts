import { clone, create, equals, toBinary, type MessageShape } from "@bufbuild/protobuf";
import { durationFromMs, type FieldMask } from "@bufbuild/protobuf/wkt";
import { createHash } from "node:crypto";
import { alreadyExists, conflict, failedPrecondition, invalidArgument, type MeshError } from "@openhermit/errors";
import { isAgentId } from "@openhermit/ids";
import {
  AgentSchema,
  AgentSpecSchema,
  DesiredState,
  Launcher,
  ModelParametersSchema,
  TurnLimitsSchema,
  type Agent,
  type AgentSpec,
} from "@openhermit/protocol/fleet/v1/agent";

/** An agent as a caller wants it: the message without output-only fields, with every default of the contract filled in. */
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

/** The limits of a turn that an agent does not set: the defaults named in agent.proto. */
const DEFAULT_LIMITS = { maxSteps: 32, timeoutMs: 600_000, maxConcurrentTurns: 64 };

const MODEL = /^([a-z0-9][a-z0-9_-]*)\/\S+$/;

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
  if (spec === undefined || !MODEL.test(spec.model)) {
    throw invalidArgument("AGENT_MODEL_INVALID", `agent "${id}" has no model of the form provider/model`, {
      hint: "Set spec.model, for example offline/echo.",
      fields,
    });
  }
  return {
    id,
    displayName: displayName === "" ? id : displayName,
    labels: { ...labels },
    spec: normalSpec(spec),
    desiredState: desiredState === DesiredState.STOPPED ? DesiredState.STOPPED : DesiredState.RUNNING,
    team,
  };
}

/** Of two specs that mean the same only one form is stored. */
function normalSpec(spec: AgentSpec): AgentSpec {
  const result = clone(AgentSpecSchema, spec);
  if (result.launcher === Launcher.UNSPECIFIED) result.launcher = Launcher.PROCESS;
  if (isEmpty(ModelParametersSchema, result.modelParameters)) delete result.modelParameters;
  if (isEmpty(TurnLimitsSchema, result.turnLimits)) delete result.turnLimits;
  return result;
}

function isEmpty<S extends typeof ModelParametersSchema | typeof TurnLimitsSchema>(
  schema: S,
  message: MessageShape<S> | undefined,
): boolean {
  return message !== undefined && toBinary(schema, message).length === 0;
}

/** The provider's name in a model: what stands before the first slash. */
export function providerOf(spec: AgentSpec): string {
  return spec.model.slice(0, spec.model.indexOf("/"));
}

/** The spec as a sidecar runs with it: every limit of a turn is set. */
export function effectiveSpec(spec: AgentSpec): AgentSpec {
  const limits = spec.turnLimits;
  return create(AgentSpecSchema, {
    ...spec,
    turnLimits: create(TurnLimitsSchema, {
      maxSteps: limits?.maxSteps ?? DEFAULT_LIMITS.maxSteps,
      timeout: limits?.timeout ?? durationFromMs(DEFAULT_LIMITS.timeoutMs),
      maxConcurrentTurns: limits?.maxConcurrentTurns ?? DEFAULT_LIMITS.maxConcurrentTurns,
    }),
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

const SPEC_FIELDS = ["model", "modelParameters", "instructions", "launcher", "turnLimits"] as const;
const PARAMETER_FIELDS = ["temperature", "maxOutputTokens", "topP"] as const;
const LIMIT_FIELDS = ["maxSteps", "timeout", "maxConcurrentTurns"] as const;

type Assign = (target: Agent, from: Agent) => void;

/** What an update may name, and how it is taken over. */
const MASK_PATHS: ReadonlyMap<string, Assign> = new Map<string, Assign>([
  ["display_name", (target, { displayName }) => void (target.displayName = displayName)],
  ["labels", (target, { labels }) => void (target.labels = labels)],
  ["desired_state", (target, { desiredState }) => void (target.desiredState = desiredState)],
  ["team", (target, { team }) => void (target.team = team)],
  ["spec", (target, { spec }) => assignOptional(target, "spec", spec)],
  ...SPEC_FIELDS.map((key): [string, Assign] => [
    `spec.${snake(key)}`,
    (target, { spec }) => assignOptional(specOf(target), key, (spec ?? create(AgentSpecSchema))[key]),
  ]),
  ...PARAMETER_FIELDS.map((key): [string, Assign] => [
    `spec.model_parameters.${snake(key)}`,
    (target, { spec }) =>
      assignOptional(
        (specOf(target).modelParameters ??= create(ModelParametersSchema)),
        key,
        spec?.modelParameters?.[key],
      ),
  ]),
  ...LIMIT_FIELDS.map((key): [string, Assign] => [
    `spec.turn_limits.${snake(key)}`,
    (target, { spec }) =>
      assignOptional((specOf(target).turnLimits ??= create(TurnLimitsSchema)), key, spec?.turnLimits?.[key]),
  ]),
]);

/** What an update without a mask names. No agent is without a spec, and who does not speak of teams moves none. */
function impliedMask({ spec, team }: Agent): string[] {
  const mask = ["display_name", "labels", "desired_state"];
  if (spec !== undefined) mask.push("spec");
  if (team !== "") mask.push("team");
  return mask;
}

/** The agent after an update: the named fields from the request, all others as they are. */
export function updatedAgent(current: DesiredAgent, request: Agent, mask: FieldMask | undefined): DesiredAgent {
  const named = mask?.paths ?? [];
  const paths = named.length === 0 ? impliedMask(request) : named;
  const target = clone(AgentSchema, toDesiredMessage(current));
  for (const path of paths) {
    const assign = MASK_PATHS.get(path);
    if (assign === undefined) {
      throw invalidArgument("UPDATE_MASK_INVALID", `update_mask names "${path.slice(0, 80)}", which can't be updated`, {
        hint: `Use ${[...MASK_PATHS.keys()].filter((known) => known.split(".").length < 3).join(", ")}.`,
        fields: { agent_id: current.id, path: path.slice(0, 80) },
      });
    }
    assign(target, clone(AgentSchema, request));
  }
  return desiredAgent(target);
}

function specOf(agent: Agent): AgentSpec {
  return (agent.spec ??= create(AgentSpecSchema));
}

function assignOptional<T extends object, K extends keyof T>(target: T, key: K, value: T[K] | undefined): void {
  if (value === undefined) delete target[key];
  else target[key] = value;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
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

/** Throws failed_precondition when no gateway may end and start the agent's sidecar. */
export function checkRestartable(agent: StoredAgent): void {
  const fields = { agent_id: agent.id };
  if (agent.desiredState === DesiredState.STOPPED) {
    throw failedPrecondition("AGENT_STOPPED", `agent "${agent.id}" is stopped`, { hint: "Start it instead.", fields });
  }
  if (agent.spec.launcher === Launcher.EXTERNAL) {
    throw failedPrecondition(
      "AGENT_LAUNCHED_EXTERNALLY",
      `the sidecar of agent "${agent.id}" is not started by a gateway`,
      { hint: "Restart it where it was started.", fields },
    );
  }
}

/** Throws failed_precondition when the agent's sidecar is started by a gateway and so may not join by hand. */
export function checkJoinable(agent: { id: string; launcher: Launcher }): void {
  if (agent.launcher === Launcher.EXTERNAL) return;
  throw failedPrecondition(
    "AGENT_LAUNCHED_BY_GATEWAY",
    `the sidecar of agent "${agent.id}" is started by the gateway itself`,
    { hint: "Set the agent's launcher to external first.", fields: { agent_id: agent.id } },
  );
}

import { clone, create } from "@bufbuild/protobuf";
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import { invalidArgument } from "@openhermit/errors";
import {
  AgentSchema,
  AgentSpecSchema,
  ModelParametersSchema,
  TurnLimitsSchema,
  type Agent,
  type AgentSpec,
} from "@openhermit/protocol/fleet/v1/agent";
import { desiredAgent, toDesiredMessage, type DesiredAgent } from "./agent.ts";

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

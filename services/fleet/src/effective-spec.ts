import { clone, create, toBinary, toJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { durationText } from "@openhermit/duration-text";
import {
  AgentSpecSchema,
  Launcher,
  ModelParametersSchema,
  TurnLimitsSchema,
  ValueSource,
  type AgentSpec,
} from "@openhermit/protocol/fleet/v1/agent";

/** What is taken where neither an agent nor the defaults say anything: the values named at the fields of agent.proto. */
const BUILTIN = create(AgentSpecSchema, {
  launcher: Launcher.PROCESS,
  turnLimits: { maxSteps: 32, timeout: durationFromMs(600_000), maxConcurrentTurns: 64 },
});

/** A model as `provider/model`. */
export const MODEL = /^([a-z0-9][a-z0-9_-]*)\/\S+$/;

/** Of two specs that mean the same only one form is stored. */
export function normalSpec(spec: AgentSpec | undefined): AgentSpec {
  const result = spec === undefined ? create(AgentSpecSchema) : clone(AgentSpecSchema, spec);
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

/** Whether nothing is set. */
export function isEmptySpec(spec: AgentSpec): boolean {
  return toBinary(AgentSpecSchema, normalSpec(spec)).length === 0;
}

/** The provider's name in a model: what stands before the first slash. Empty when there is no model. */
export function providerOf({ model }: Pick<AgentSpec, "model">): string {
  return model.slice(0, Math.max(0, model.indexOf("/")));
}

/**
 * What an agent runs with: its own values, filled from the defaults and then from the built-in ones, down to single
 * parameters and limits. Launcher and turn limits are always set.
 */
export function effectiveSpec(own: AgentSpec, defaults: AgentSpec): AgentSpec {
  const parameters = { ...set(defaults.modelParameters), ...set(own.modelParameters) };
  return create(AgentSpecSchema, {
    model: own.model || defaults.model,
    instructions: own.instructions || defaults.instructions,
    launcher: own.launcher || defaults.launcher || BUILTIN.launcher,
    ...(Object.keys(parameters).length > 0 && { modelParameters: create(ModelParametersSchema, parameters) }),
    turnLimits: create(TurnLimitsSchema, {
      ...set(BUILTIN.turnLimits),
      ...set(defaults.turnLimits),
      ...set(own.turnLimits),
    }),
  });
}

/** The fields of a message that are set, without its type. */
function set<T extends { $typeName: string; $unknown?: unknown }>(
  message: T | undefined,
): Partial<Omit<T, "$typeName" | "$unknown">> {
  if (message === undefined) return {};
  const { $typeName: _type, $unknown: _unknown, ...fields } = message;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<
    typeof fields
  >;
}

/** Where each value comes from that an agent runs with, by its path in a manifest. What nobody set has no entry. */
export function valueSources(own: AgentSpec, defaults: AgentSpec): Map<string, ValueSource> {
  const sources = new Map<string, ValueSource>();
  const layers = [
    [BUILTIN, ValueSource.BUILTIN],
    [defaults, ValueSource.DEFAULTS],
    [own, ValueSource.AGENT],
  ] as const;
  for (const [spec, source] of layers) for (const path of specLeaves(spec).keys()) sources.set(path, source);
  return sources;
}

/** The values that a spec sets, as a manifest writes them and by its paths: `model`, `modelParameters.temperature`, `turnLimits.timeout`. */
export function specLeaves(spec: AgentSpec): Map<string, string> {
  const leaves = new Map<string, string>();
  flatten(leaves, "", toJson(AgentSpecSchema, spec) as Record<string, JsonValue>);
  if (spec.launcher !== Launcher.UNSPECIFIED) {
    leaves.set("launcher", spec.launcher === Launcher.EXTERNAL ? "external" : "process");
  }
  const timeout = spec.turnLimits?.timeout;
  if (timeout !== undefined) leaves.set("turnLimits.timeout", durationText(timeout));
  return leaves;
}

function flatten(into: Map<string, string>, prefix: string, value: Record<string, JsonValue>): void {
  for (const [key, one] of Object.entries(value)) {
    if (typeof one === "object" && one !== null && !Array.isArray(one)) flatten(into, `${prefix}${key}.`, one);
    else into.set(prefix + key, typeof one === "string" ? one : JSON.stringify(one));
  }
}

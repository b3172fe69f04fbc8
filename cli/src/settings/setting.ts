import { create } from "@bufbuild/protobuf";
import { durationText, parseDurationText } from "@openhermit/duration-text";
import {
  AgentSpecSchema,
  DesiredState,
  Launcher,
  ModelParametersSchema,
  TurnLimitsSchema,
  type Agent,
  type AgentSpec,
  type ModelParameters,
  type TurnLimits,
} from "@openhermit/protocol/fleet/v1/agent";

/** One value of an agent or of the defaults, by its key in a manifest. */
export interface Setting {
  readonly key: string;
  /** The path in an update mask. */
  readonly path: string;
  /** The value as in a manifest; empty: not set. */
  read(agent: Agent): string;
  /** Sets it; an empty value unsets it. Returns what it must be like when it is not. */
  write(agent: Agent, value: string): string | undefined;
}

const specOf = (agent: Agent): AgentSpec => (agent.spec ??= create(AgentSpecSchema));

const model: Setting = {
  key: "model",
  path: "spec.model",
  read: ({ spec }) => spec?.model ?? "",
  write: (agent, value) => {
    specOf(agent).model = value;
    return value === "" || /^[a-z0-9][a-z0-9_-]*\/\S+$/.test(value) ? undefined : "provider/model, like offline/echo";
  },
};

const instructions: Setting = {
  key: "instructions",
  path: "spec.instructions",
  read: ({ spec }) => spec?.instructions ?? "",
  write: (agent, value) => {
    specOf(agent).instructions = value;
    return undefined;
  },
};

/** A setting that is one of some words. */
function choice<Value extends number>(
  of: Pick<Setting, "key" | "path">,
  words: ReadonlyMap<string, Value>,
  slot: { get(agent: Agent): Value | undefined; set(agent: Agent, value: Value): void; unset: Value | undefined },
): Setting {
  return {
    ...of,
    read: (agent) => [...words].find(([, value]) => value === slot.get(agent))?.[0] ?? "",
    write: (agent, word) => {
      const value = word === "" ? slot.unset : words.get(word);
      if (value === undefined) return [...words.keys()].join(" or ");
      slot.set(agent, value);
      return undefined;
    },
  };
}

const launcher = choice(
  { key: "launcher", path: "spec.launcher" },
  new Map([
    ["process", Launcher.PROCESS],
    ["external", Launcher.EXTERNAL],
  ]),
  {
    get: ({ spec }) => spec?.launcher,
    set: (agent, value) => void (specOf(agent).launcher = value),
    unset: Launcher.UNSPECIFIED,
  },
);

const desiredState = choice(
  { key: "desiredState", path: "desired_state" },
  new Map([
    ["running", DesiredState.RUNNING],
    ["stopped", DesiredState.STOPPED],
  ]),
  {
    get: (agent) => agent.desiredState,
    set: (agent, value) => void (agent.desiredState = value),
    unset: undefined,
  },
);

function parameter(field: "temperature" | "maxOutputTokens" | "topP"): Setting {
  const parametersOf = (agent: Agent): ModelParameters =>
    (specOf(agent).modelParameters ??= create(ModelParametersSchema));
  return numeric({
    key: `modelParameters.${field}`,
    path: `spec.model_parameters.${snake(field)}`,
    isWhole: field === "maxOutputTokens",
    get: ({ spec }) => spec?.modelParameters?.[field],
    set: (agent, value) => {
      if (value === undefined) delete parametersOf(agent)[field];
      else parametersOf(agent)[field] = value;
    },
  });
}

const limitsOf = (agent: Agent): TurnLimits => (specOf(agent).turnLimits ??= create(TurnLimitsSchema));

function limit(field: "maxSteps" | "maxConcurrentTurns"): Setting {
  return numeric({
    key: `turnLimits.${field}`,
    path: `spec.turn_limits.${snake(field)}`,
    isWhole: true,
    get: ({ spec }) => spec?.turnLimits?.[field],
    set: (agent, value) => {
      if (value === undefined) delete limitsOf(agent)[field];
      else limitsOf(agent)[field] = value;
    },
  });
}

const timeout: Setting = {
  key: "turnLimits.timeout",
  path: "spec.turn_limits.timeout",
  read: ({ spec }) => (spec?.turnLimits?.timeout ? durationText(spec.turnLimits.timeout) : ""),
  write: (agent, value) => {
    const duration = parseDurationText(value);
    if (value !== "" && !duration) return "a duration, like 90s or 5m";
    if (duration) limitsOf(agent).timeout = duration;
    else delete limitsOf(agent).timeout;
    return undefined;
  },
};

function numeric(options: {
  key: string;
  path: string;
  isWhole: boolean;
  get(agent: Agent): number | undefined;
  set(agent: Agent, value: number | undefined): void;
}): Setting {
  const { key, path, isWhole, get, set } = options;
  return {
    key,
    path,
    read: (agent) => String(get(agent) ?? ""),
    write: (agent, text) => {
      const value = text === "" ? undefined : Number(text);
      if (
        value !== undefined &&
        !(isWhole ? Math.abs(value) < 2 ** 31 && Number.isInteger(value) : Number.isFinite(value))
      )
        return isWhole ? "a whole number" : "a number";
      set(agent, value);
      return undefined;
    },
  };
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What agents and the defaults have, in the order in which it is shown. */
export const sharedSettings: readonly Setting[] = [
  model,
  parameter("temperature"),
  parameter("maxOutputTokens"),
  parameter("topP"),
  launcher,
  limit("maxSteps"),
  timeout,
  limit("maxConcurrentTurns"),
  instructions,
];

/** What agents have besides, and a label of any name. */
export const agentSettings: readonly Setting[] = [
  {
    key: "displayName",
    path: "display_name",
    read: ({ displayName }) => displayName,
    write: (agent, value) => {
      agent.displayName = value;
      return undefined;
    },
  },
  {
    key: "team",
    path: "team",
    read: ({ team }) => team,
    write: (agent, value) => {
      agent.team = value;
      return undefined;
    },
  },
  desiredState,
  ...sharedSettings,
];

/** The label of a name, `labels.tier`. */
export function labelSetting(name: string): Setting {
  return {
    key: `labels.${name}`,
    path: "labels",
    read: ({ labels }) => (Object.hasOwn(labels, name) ? (labels[name] ?? "") : ""),
    write: (agent, value) => {
      const others = Object.entries(agent.labels).filter(([key]) => key !== name);
      agent.labels = Object.fromEntries(value === "" ? others : [...others, [name, value]]);
      return undefined;
    },
  };
}

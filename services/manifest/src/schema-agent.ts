import {
  choice,
  described,
  duration,
  integer,
  mapOf,
  number,
  objectOf,
  text,
  word,
  type NameRule,
  type ReadOf,
} from "./schema-readers.ts";

/** What an agent's id is. */
export const AGENT_ID: NameRule = {
  pattern: /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/,
  maxLength: 63,
  objection: (name) => slugObjection(name, "an agent's id", 63),
};

/** What a model is: a provider's name, a slash, the provider's name of the model. At most 200 characters. */
export const MODEL = /^([a-z0-9][a-z0-9_-]*)\/\S+$/;
/** What a team's id is. */
export const TEAM_ID = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

const behaviour = {
  model: described(text, "The model as `provider/model`. The provider is a built-in one or stands under providers.", {
    pattern: MODEL.source,
    maxLength: 200,
    examples: ["offline/echo", "anthropic/claude-sonnet-4-5", "ollama/llama3.2"],
  }),
  modelParameters: described(
    objectOf({
      temperature: described(number, "The sampling temperature, 0 to 2.", { minimum: 0, maximum: 2 }),
      maxOutputTokens: described(integer, "The most tokens of one answer.", { minimum: 1, maximum: 2 ** 31 - 1 }),
      topP: described(number, "Nucleus sampling, above 0 to 1.", { exclusiveMinimum: 0, maximum: 1 }),
    }),
    "Parameters of the model. What nobody sets is left to the provider.",
  ),
  instructions: described(text, "The system prompt, at most 64 KiB. It is taken as it stands: no variables.", {
    maxLength: 65_536,
  }),
  launcher: described(
    choice("process", "external"),
    "Who starts the agent's sidecar: the gateway as a child process (the default), or somebody else.",
  ),
  team: described(
    text,
    "The team that owns the agent; nobody else sees it. Under defaults: filled in for every agent of this manifest that names none.",
    { pattern: TEAM_ID.source },
  ),
  turnLimits: described(
    objectOf({
      maxSteps: described(integer, "The most model calls in a turn, at most 1,000. Default 32.", {
        minimum: 1,
        maximum: 1000,
      }),
      timeout: described(duration, "How long a turn may run, at most 24 hours. Default 10m.", {
        examples: ["90s", "10m", "1h30m"],
      }),
      maxConcurrentTurns: described(
        integer,
        "How many turns of the agent run side by side, each in another session, at most 1,000. Default 64.",
        { minimum: 1, maximum: 1000 },
      ),
    }),
    "Bounds of one turn.",
  ),
};

const agent = objectOf({
  displayName: described(text, "The name shown to people, at most 120 characters. Default: the id.", {
    maxLength: 120,
  }),
  labels: described(mapOf(word), "Free labels, at most 32.", {
    maxProperties: 32,
    propertyNames: { minLength: 1, maxLength: 63 },
    additionalProperties: { ...word.schema, maxLength: 255 },
    examples: [{ tier: "support" }],
  }),
  desiredState: described(
    choice("running", "stopped"),
    "Whether the agent should run. Not set: as it is; a new one runs.",
  ),
  ...behaviour,
});

/** The section `agents`. */
export const agentSection = described(
  mapOf(agent, AGENT_ID),
  "The agents by their ids. What an agent does not set it takes from the fleet's defaults.",
  { examples: [{ one: { model: "offline/echo", instructions: "Answer in one sentence." } }] },
);

/** The section `defaults`. */
export const defaultsSection = described(
  objectOf(behaviour),
  "What agents take that they do not set themselves. One for the whole fleet: these replace the stored ones whole.",
  { examples: [{ model: "offline/echo", turnLimits: { timeout: "10m" } }] },
);

/** One agent of a manifest. */
export type AgentSource = Extract<ReturnType<typeof agent>, object>;
/** How agents behave and who owns them, as a manifest says it. */
export type BehaviourSource = ReadOf<typeof behaviour>;

/** What is wrong with an id. */
export function slugObjection(name: string, what: string, length: number): string {
  const rule = `lower-case letters, digits and dashes, at most ${length}, starting with a letter`;
  return `"${name.slice(0, 80)}" can't be ${what}: ${rule}`;
}

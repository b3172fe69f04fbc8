import { AGENT_ID, slugObjection } from "./schema-agent.ts";
import {
  choice,
  described,
  duration,
  listOf,
  mapOf,
  objectOf,
  reader,
  text,
  word,
  type NameRule,
  type Reader,
} from "./schema-readers.ts";

/** The name of an environment variable of the sidecar that holds a provider's key. */
export const API_KEY_ENV = /^[A-Z][A-Z0-9_]{0,99}(KEY|TOKEN)$/;
/** A bundle's name. */
export const DIGEST = /^sha256:[0-9a-f]{64}$/;

const PROVIDER_NAME: NameRule = {
  pattern: /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/,
  maxLength: 63,
  objection: (name) => slugObjection(name, "a provider's name", 63),
};
const SERVER_ID: NameRule = {
  pattern: /^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/,
  maxLength: 32,
  objection: (name) => slugObjection(name, "an MCP server's id", 32),
};
const SKILL_ID: NameRule = {
  pattern: /^[a-z0-9]+(-[a-z0-9]+)*$/,
  maxLength: 64,
  objection: (name) =>
    `"${name.slice(0, 80)}" can't be a skill's id: lower-case letters, digits and single dashes between them, at most 64`,
};
/** A URL, or one with a variable in it. */
const URL_PATTERN = String.raw`^([hH][tT][tT][pP][sS]?:|[\s\S]*\$\{)`;

const provider = objectOf({
  kind: described(
    choice("anthropic", "openai", "google", "openai-compatible", "offline"),
    "The protocol that the endpoint speaks.",
  ),
  baseUrl: described(text, "The base URL. Default: the kind's own public endpoint. May hold declared variables.", {
    pattern: URL_PATTERN,
    maxLength: 2048,
    examples: ["https://models.example.com/v1", "${MODELS_URL:-http://127.0.0.1:11434/v1}"],
  }),
  apiKeyEnv: described(text, "The environment variable of the sidecar that holds the key; never the key itself.", {
    pattern: API_KEY_ENV.source,
    examples: ["OPENROUTER_API_KEY"],
  }),
});

const agentId = { type: "string", pattern: AGENT_ID.pattern.source };

/** `"*"` or a list of agent ids. */
const agents: Reader<string[]> = reader(
  {
    anyOf: [
      { const: "*" },
      { type: "array", items: { anyOf: [{ const: "*" }, agentId] }, uniqueItems: true, maxItems: 1000 },
    ],
  },
  (node, path, problems) => {
    if (node.kind === "scalar" && node.value === "*") return ["*"];
    if (node.kind === "list") return listOf(text)(node, path, problems);
    problems.add(
      path,
      'expected "*" or a list of agent ids',
      'write agents: "*" for all agents, or agents: [one, two]',
    );
    return undefined;
  },
);

const disabledAgents: Reader<string[]> = reader(
  { type: "array", items: agentId, uniqueItems: true, maxItems: 1000 },
  (node, path, problems) => listOf(text)(node, path, problems),
);

const assignment = (noun: string) => ({
  agents: described(agents, `Who uses the ${noun}: "*" for every agent, also every future one, or a list of ids.`, {
    examples: ["*", ["one", "two"]],
  }),
  disabledAgents: described(disabledAgents, `The agents that do not use the ${noun} although "*" does.`, {
    examples: [["two"]],
  }),
});

const transportType: Reader<"stdio" | "http" | "streamable-http"> = reader(
  choice("stdio", "http", "streamable-http").schema,
  (node, path, problems) => {
    if (node.kind !== "scalar" || node.value !== "sse") {
      return choice("stdio", "http", "streamable-http")(node, path, problems);
    }
    const hint = "write type: http with the server's streamable HTTP URL, which often ends in /mcp";
    problems.add(path, '"sse" is not spoken: the Model Context Protocol has replaced it by streamable HTTP', hint);
    return undefined;
  },
);

const mcpServer = objectOf({
  type: described(
    transportType,
    "How to reach it, as other tools write it: stdio with command, http or streamable-http with url. Not needed.",
  ),
  command: described(
    text,
    "The program, a child process of each sidecar: an absolute path, a name looked up in PATH, or a path from this file that begins with ./ or ../",
    { minLength: 1, maxLength: 4096, examples: ["npx", "./servers/search"] },
  ),
  args: described(
    listOf(word),
    "Its arguments. One that begins with ./ or ../ is a path from this file; `$./` stands for a literal `./`.",
    {
      items: { ...word.schema, maxLength: 8192 },
      maxItems: 256,
      examples: [["-y", "@modelcontextprotocol/server-everything", "stdio"]],
    },
  ),
  env: described(
    mapOf(word),
    "Its environment. `${secret.NAME}` is replaced at the sidecar and stored nowhere; declared variables are replaced when the manifest is applied.",
    { maxProperties: 128, examples: [{ API_KEY: "${secret.SEARCH_API_KEY}" }] },
  ),
  url: described(text, "The URL of a streamable HTTP endpoint.", {
    pattern: URL_PATTERN,
    maxLength: 2048,
    examples: ["https://mcp.example.com/mcp"],
  }),
  headers: described(mapOf(word), "Headers sent with each request; values as in env.", {
    maxProperties: 64,
    examples: [{ authorization: "Bearer ${secret.SEARCH_TOKEN}" }],
  }),
  ...assignment("server"),
  connectTimeout: described(duration, "How long connecting may take, at most 10 minutes. Default 30s."),
  callTimeout: described(duration, "How long one tool call may take, at most 1 hour. Default 2m."),
});

const skill = objectOf({
  path: described(text, "The folder with its SKILL.md, from this file. The command line sends the files.", {
    minLength: 1,
    maxLength: 4096,
    examples: ["./skills/report"],
  }),
  digest: described(text, "Files that the gateway already has, by their digest.", { pattern: DIGEST.source }),
  ...assignment("skill"),
});

/** The section `providers`. */
export const providerSection = described(
  mapOf(
    described(provider, "One provider.", {
      type: "object",
      required: ["kind"],
      anyOf: [{ required: ["baseUrl"] }, { properties: { kind: { not: { const: "openai-compatible" } } } }],
    }),
    PROVIDER_NAME,
  ),
  "Where model calls go besides the built-in providers, by the names that stand before the slash of a model.",
  { examples: [{ local: { kind: "openai-compatible", baseUrl: "http://127.0.0.1:8000/v1" } }] },
);

/** The section `skills`. */
export const skillSection = described(
  mapOf(
    described(skill, "One skill: its files by path or digest, and who has it.", {
      type: "object",
      required: ["agents"],
      oneOf: [{ required: ["path"] }, { required: ["digest"] }],
    }),
    SKILL_ID,
  ),
  "Skills in the Agent Skills format, by the names in their SKILL.md.",
  { examples: [{ report: { path: "./skills/report", agents: "*" } }] },
);

/** The section `mcpServers`. */
export const mcpServerSection = described(
  mapOf(
    described(mcpServer, "One MCP server: a command or a url, and who uses it.", {
      type: "object",
      required: ["agents"],
      oneOf: [
        {
          required: ["command"],
          properties: { type: { const: "stdio" }, url: false, headers: false },
        },
        {
          required: ["url"],
          properties: { type: { enum: ["http", "streamable-http"] }, command: false, args: false, env: false },
        },
      ],
    }),
    SERVER_ID,
  ),
  "MCP servers by the prefixes of their tools. The form of other tools is read too: command, args, env or type, url, headers.",
  { examples: [{ search: { url: "https://mcp.example.com/mcp", agents: "*" } }] },
);

/** One provider of a manifest. */
export type ProviderSource = Extract<ReturnType<typeof provider>, object>;
/** One MCP server of a manifest. */
export type McpServerSource = Extract<ReturnType<typeof mcpServer>, object>;
/** One skill of a manifest. */
export type SkillSource = Extract<ReturnType<typeof skill>, object>;
/** Who uses a thing of the catalogue. */
export type AssignmentSource = Pick<SkillSource, "agents" | "disabledAgents">;

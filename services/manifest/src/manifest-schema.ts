import type { ManifestNode } from "./manifest-document.ts";
import type { ProblemList } from "./problem-list.ts";
import {
  choice,
  duration,
  integer,
  listOf,
  mapOf,
  number,
  objectOf,
  text,
  word,
  type Read,
  type Reader,
} from "./schema-readers.ts";

const AGENT_ID = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SERVER_ID = /^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/;
const PROVIDER_NAME = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;

const behaviour = {
  model: text,
  modelParameters: objectOf({ temperature: number, maxOutputTokens: integer, topP: number }),
  instructions: text,
  launcher: choice("process", "external"),
  team: text,
  turnLimits: objectOf({ maxSteps: integer, timeout: duration, maxConcurrentTurns: integer }),
};

const agent = objectOf({ displayName: text, labels: mapOf(word), ...behaviour });

const provider = objectOf({
  kind: choice("anthropic", "openai", "google", "openai-compatible", "offline"),
  baseUrl: text,
  apiKeyEnv: text,
});

/** `"*"` or a list of agent ids. */
const agents: Reader<string[]> = (node, path, problems) => {
  if (node.kind === "scalar" && node.value === "*") return ["*"];
  if (node.kind === "list") return listOf(text)(node, path, problems);
  problems.add(path, 'expected "*" or a list of agent ids', 'write agents: "*" for all agents, or agents: [one, two]');
  return undefined;
};

const mcpServer = objectOf({
  command: text,
  args: listOf(word),
  env: mapOf(word),
  url: text,
  headers: mapOf(word),
  agents,
  connectTimeout: duration,
  callTimeout: duration,
});

const manifest = objectOf({
  defaults: objectOf(behaviour),
  providers: mapOf(provider, idRule(PROVIDER_NAME, "a provider's name", 63)),
  agents: mapOf(agent, idRule(AGENT_ID, "an agent's id", 63)),
  mcpServers: mapOf(mcpServer, idRule(SERVER_ID, "an MCP server's id", 32)),
});

/** How an agent behaves and who owns it, as a manifest says it. */
export type BehaviourSource = Read<typeof behaviour>;
/** One agent of a manifest. */
export type AgentSource = Extract<ReturnType<typeof agent>, object>;
/** One provider of a manifest. */
export type ProviderSource = Extract<ReturnType<typeof provider>, object>;
/** One MCP server of a manifest. */
export type McpServerSource = Extract<ReturnType<typeof mcpServer>, object>;
/** A manifest with the right keys and types; what was wrong is left out and stands in the problems. */
export type ManifestSource = Extract<ReturnType<typeof manifest>, object>;

/** Reads the keys and types of a manifest; every problem at once. */
export function readManifest(root: ManifestNode | undefined, problems: ProblemList): ManifestSource {
  if (root === undefined) {
    if (problems.size === 0) problems.add([], "the manifest is empty", "begin with agents:");
    return {};
  }
  return manifest(root, [], problems) ?? {};
}

function idRule(pattern: RegExp, what: string, length: number): (name: string) => string | undefined {
  return (name) =>
    pattern.test(name)
      ? undefined
      : `"${name.slice(0, 80)}" can't be ${what}: lower-case letters, digits and dashes, at most ${length}, ` +
        "starting with a letter";
}

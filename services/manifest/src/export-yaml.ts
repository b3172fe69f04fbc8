import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import { DesiredState, type Agent, type AgentSpec, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { Document, isScalar, Scalar, visit } from "yaml";
import { escapePath } from "./base-directory.ts";
import { LAUNCHERS } from "./compile-agents.ts";
import { PROVIDER_KINDS } from "./compile-provider.ts";
import { durationText } from "@openhermit/duration-text";
import { escapeVariables } from "./interpolation.ts";
import type { FleetContent, WantedCatalog } from "./manifest-ports.ts";

/** What a manifest says. */
export interface ManifestContent extends FleetContent, WantedCatalog {}

/** A part of a manifest as YAML takes it; undefined is left out. */
type Tree = { [key: string]: Tree | readonly string[] | string | number | undefined };

/** Characters that only a text in double quotes brings through, or that a reader can't see. */
const UNPRINTABLE = /[^\t\n\u0020-\u007e\u00a1-\u2027\u202f-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]/gu;

/** A first or last line of blanks alone, which a block does not bring through. */
const BLANK_END = /^[ \t]+\n|\n[ \t]+\n*$/;

/**
 * Writes a manifest that reads back as what is given: ordered by ids, without what is not set.
 *
 * @param skillPaths names skills by `./skills/<id>` and not by their digests.
 * @param leftOut the MCP servers that are not in it because of their values, for a comment.
 */
export function manifestText(
  content: ManifestContent,
  { skillPaths, leftOut = [] }: { skillPaths: boolean; leftOut?: readonly string[] },
): string {
  const sections: Tree = {
    defaults: content.defaults?.spec && filled(specTree(content.defaults.spec)),
    providers: section(content.providers, ({ name }) => name, providerTree),
    agents: section(content.agents, ({ id }) => id, agentTree),
    skills: section(
      content.skills,
      ({ id }) => id,
      (skill) => skillTree(skill, skillPaths),
    ),
    mcpServers: section(content.mcpServers, ({ id }) => id, mcpServerTree),
  };
  const isEmpty = Object.values(sections).every((value) => value === undefined);
  const document = new Document(isEmpty ? { agents: {} } : sections, {
    aliasDuplicateObjects: false,
    compat: "yaml-1.1",
  });
  if (leftOut.length > 0) {
    document.commentBefore = ` Left out, since you may not read all their values: the MCP servers ${leftOut.join(", ")}.`;
  }
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value !== "string") return;
      if (node.value.search(UNPRINTABLE) >= 0 || BLANK_END.test(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
    Pair: (_, pair) => {
      // A key in a block would need a form that few readers know.
      if (isScalar(pair.key) && /\n/.test(String(pair.key.value))) pair.key.type = Scalar.QUOTE_DOUBLE;
    },
  });
  const text = document.toString({ lineWidth: 0, blockQuote: "literal" });
  // Those that are left stand in double quotes, where the library writes some as they are.
  return text.replaceAll(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function section<T>(things: readonly T[], keyOf: (thing: T) => string, tree: (thing: T) => Tree): Tree | undefined {
  const entries = things.map((thing): [string, Tree] => [keyOf(thing), tree(thing)]);
  return filled(Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

/** The tree without what is undefined; undefined when nothing is left. */
function filled(tree: Tree): Tree | undefined {
  const entries = Object.entries(tree).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

const text = (value: string): string | undefined => (value === "" ? undefined : value);

function specTree({ model, modelParameters, instructions, launcher, turnLimits }: AgentSpec): Tree {
  return {
    model: text(model),
    modelParameters:
      modelParameters &&
      filled({
        temperature: modelParameters.temperature,
        maxOutputTokens: modelParameters.maxOutputTokens,
        topP: modelParameters.topP,
      }),
    instructions: text(instructions),
    launcher: Object.entries(LAUNCHERS).find(([, known]) => known === launcher)?.[0],
    turnLimits:
      turnLimits &&
      filled({
        maxSteps: turnLimits.maxSteps,
        timeout: turnLimits.timeout && durationText(turnLimits.timeout),
        maxConcurrentTurns: turnLimits.maxConcurrentTurns,
      }),
  };
}

function agentTree({ id, displayName, labels, spec, desiredState, team }: Agent): Tree {
  return {
    displayName: displayName === id ? undefined : text(displayName),
    labels: filled(ordered(labels)),
    desiredState: desiredState === DesiredState.STOPPED ? "stopped" : undefined,
    team: text(team),
    ...(spec && specTree(spec)),
  };
}

function providerTree({ kind, baseUrl, apiKeyEnv }: Provider): Tree {
  return {
    kind: Object.entries(PROVIDER_KINDS).find(([, known]) => known === kind)?.[0],
    baseUrl: text(escapeVariables(baseUrl, { secrets: false })),
    apiKeyEnv: text(apiKeyEnv),
  };
}

function skillTree(skill: Skill, skillPaths: boolean): Tree {
  const files = skillPaths ? { path: `./skills/${skill.id}` } : { digest: skill.digest };
  return { ...files, ...assignmentTree(skill) };
}

function mcpServerTree(server: McpServer): Tree {
  const { transport, connectTimeout, callTimeout } = server;
  const word = (value: string): string => escapePath(escapeVariables(value, { secrets: false }));
  const values = (map: Readonly<Record<string, string>>): Tree | undefined =>
    filled(ordered(map, (value) => escapeVariables(value, { secrets: true })));
  return {
    ...(transport.case === "stdio" && {
      command: word(transport.value.command),
      args: transport.value.args.length === 0 ? undefined : transport.value.args.map(word),
      env: values(transport.value.env),
    }),
    ...(transport.case === "http" && {
      url: escapeVariables(transport.value.url, { secrets: false }),
      headers: values(transport.value.headers),
    }),
    ...assignmentTree(server),
    connectTimeout: connectTimeout && durationText(connectTimeout),
    callTimeout: callTimeout && durationText(callTimeout),
  };
}

function assignmentTree({
  agents,
  disabledAgents,
}: {
  agents: readonly string[];
  disabledAgents: readonly string[];
}): Tree {
  return {
    agents: agents.length === 1 && agents[0] === "*" ? "*" : agents,
    disabledAgents: disabledAgents.length === 0 ? undefined : disabledAgents,
  };
}

function ordered(map: Readonly<Record<string, string>>, write = (value: string): string => value): Tree {
  const entries = Object.entries(map).map(([key, value]): [string, string] => [key, write(value)]);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

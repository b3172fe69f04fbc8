import { agentSection, defaultsSection } from "./schema-agent.ts";
import { mcpServerSection, providerSection, skillSection } from "./schema-resources.ts";
import type { ManifestNode } from "./manifest-node.ts";
import type { ProblemList } from "./problem-list.ts";
import { described, listOf, objectOf, reader, type JsonSchema, type Reader } from "./schema-readers.ts";

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

const variableName: Reader<string> = reader(
  { type: "string", pattern: VARIABLE_NAME.source },
  (node, path, problems) => {
    if (node.kind === "scalar" && typeof node.value === "string" && VARIABLE_NAME.test(node.value)) return node.value;
    const hint = "write names alone, for example environment: [REGION, MCP_URL]; values come from the environment";
    problems.add(path, "expected the name of an environment variable", hint);
    return undefined;
  },
);

const environment: Reader<string[]> = reader(
  { ...listOf(variableName).schema, uniqueItems: true },
  (node, path, problems) => {
    const names = listOf(variableName)(node, path, problems);
    const seen = new Set<string>();
    if (node.kind !== "list") return names;
    for (const [index, item] of node.items.entries()) {
      const name = item.kind === "scalar" ? item.value : undefined;
      if (typeof name !== "string") continue;
      if (seen.has(name))
        problems.add([...path, index], `"${name.slice(0, 80)}" is declared twice`, "remove one of the two");
      seen.add(name);
    }
    return names;
  },
);

const manifest = objectOf({
  environment: described(
    environment,
    "The variables that this manifest takes from the environment of the command that applies it. Only their names stand here; `${NAME}` and `${NAME:-fallback}` are replaced in the command, args, env, url and headers of mcpServers and in the baseUrl of providers, and nowhere else. `$${` is a literal `${`.",
    { examples: [["REGION", "MCP_URL"]] },
  ),
  defaults: defaultsSection,
  providers: providerSection,
  agents: agentSection,
  skills: skillSection,
  mcpServers: mcpServerSection,
});

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

/** The JSON Schema of a manifest, draft 2020-12: made of the same shapes as the reader. */
export function manifestJsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "OpenHermit Mesh manifest",
    description: "The fleet as a file: agents, and what they share.",
    ...manifest.schema,
    type: "object",
  };
}

import type { Defaults } from "@openhermit/protocol/fleet/v1/agent";
import type { Manifest } from "@openhermit/protocol/manifest/v1/manifest_service";
import { compileAgents, compileDefaults } from "./compile-agents.ts";
import type { CompileContext, KnownNames } from "./compile-context.ts";
import { compileMcpServer } from "./compile-mcp-server.ts";
import { compileProvider } from "./compile-provider.ts";
import { compileSkill } from "./compile-skill.ts";
import { createInterpolation } from "./interpolation.ts";
import type { ManifestDocument } from "./manifest-document.ts";
import { locate } from "./manifest-node.ts";
import type { WantedCatalog, WantedFleet } from "./manifest-ports.ts";
import { readManifest } from "./manifest-schema.ts";
import type { CheckRules } from "./message-rules.ts";
import { createProblemList, type Problem } from "./problem-list.ts";
import type { AgentSource } from "./schema-agent.ts";

/** What a manifest asks for, as messages, each in the manifest's order. */
export interface CompiledManifest extends WantedFleet, WantedCatalog {
  defaults: Defaults | undefined;
}

/** What a manifest asks for, or why it can't be said. */
export type CompileResult =
  | { kind: "compiled"; wanted: CompiledManifest }
  | { kind: "invalid"; problems: readonly Problem[] };

/**
 * Turns a manifest into messages: replaces declared variables, resolves relative paths, fills in the team of the
 * defaults, checks what refers to what and the rules of the messages. Finds every problem.
 */
export function compileManifest(
  document: ManifestDocument,
  { variables, bundles }: Pick<Manifest, "variables" | "bundles">,
  known: KnownNames,
  checkRules: CheckRules,
): CompileResult {
  const problems = createProblemList(document);
  const source = readManifest(document.root, problems);
  const context: CompileContext = {
    known,
    bundles,
    interpolate: createInterpolation(source.environment ?? [], variables, problems),
    baseDirectoryOf: (path) => document.files[locate(document.root, path, "key").file]?.baseDirectory ?? "",
    problems,
    checkRules,
  };
  const providerNames = new Set([...known.providerNames, ...(source.providers?.keys() ?? [])]);
  const agents = source.agents ?? new Map<string, AgentSource>();
  const agentIds = new Set([...known.agentIds, ...agents.keys()]);
  const defaults = compileDefaults(source.defaults, providerNames, context);
  const inherited = {
    team: source.defaults?.team ?? "",
    // Defaults of the manifest replace the stored ones whole.
    defaultModel: defaults === undefined ? known.defaultModel : (defaults.spec?.model ?? ""),
  };
  const wanted: CompiledManifest = {
    defaults,
    providers: [...(source.providers ?? [])].map(([name, provider]) => compileProvider(name, provider, context)),
    agents: compileAgents(agents, inherited, providerNames, context),
    skills: [...(source.skills ?? [])].map(([id, skill]) => compileSkill(id, skill, agentIds, context)),
    mcpServers: [...(source.mcpServers ?? [])].map(([id, server]) => compileMcpServer(id, server, agentIds, context)),
  };
  return problems.size > 0 ? { kind: "invalid", problems: problems.sorted() } : { kind: "compiled", wanted };
}

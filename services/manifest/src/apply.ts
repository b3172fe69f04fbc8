import type { Database, Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Agent, Provider } from "@openhermit/protocol/fleet/v1/agent";
import { compileManifest } from "./manifest-compile.ts";
import { readManifestDocument } from "./manifest-document.ts";
import { readManifest } from "./manifest-schema.ts";
import { lockApply } from "./manifest-store.ts";
import type { CheckRules } from "./message-rules.ts";
import { createProblemList, type Problem } from "./problem-list.ts";

/** What was, or would be, done to one resource. */
export interface ResourceChange {
  id: string;
  action: "create" | "update" | "none";
  /** Of an update: what changed, as it stands in a manifest. */
  fields: readonly { path: string; before: string; after: string }[];
}

/** How resources are applied. */
export interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
}

/** What the manifest needs of the domains that own its resources. Each call runs within the given transaction. */
export interface ManifestPorts {
  /** The names of all providers, the built-in ones too: what a model may refer to. */
  providerNames(tx: Queryable): Promise<readonly string[]>;
  /** The ids of all agents: what an MCP server may be assigned to. */
  agentIds(tx: Queryable): Promise<readonly string[]>;
  /** Creates or updates providers; answers in the order of the input. */
  applyProviders(
    tx: Queryable,
    providers: readonly Provider[],
    options: ApplyOptions,
  ): Promise<readonly ResourceChange[]>;
  /**
   * Creates or updates agents; answers in the order of the input. DESIRED_STATE_UNSPECIFIED leaves the state of an
   * existing agent as it is, and is running for a new one. With dryRun the providers of the same manifest may not
   * be stored yet; that a model's provider exists has been checked.
   */
  applyAgents(tx: Queryable, agents: readonly Agent[], options: ApplyOptions): Promise<readonly ResourceChange[]>;
  /** Creates or updates MCP servers; answers in the order of the input. */
  applyMcpServers(
    tx: Queryable,
    servers: readonly McpServer[],
    options: ApplyOptions,
  ): Promise<readonly ResourceChange[]>;
}

/** A manifest to apply. */
export interface ManifestInput extends ApplyOptions {
  /** YAML. */
  text: string;
  /** The absolute folder that relative paths refer to; empty refuses them. */
  baseDirectory: string;
}

/** What an apply did, grouped by resource, or why it did nothing. */
export type ApplyResult =
  | { kind: "applied"; changes: readonly { resourceType: ResourceType; change: ResourceChange }[] }
  | { kind: "invalid"; problems: readonly Problem[] };

/** The kinds of resource a manifest holds. */
export type ResourceType = "provider" | "agent" | "mcp-server";

/** Reads a manifest and makes the fleet what it says, in one transaction; with any problem nothing is changed. */
export async function applyManifest(
  database: Database,
  ports: ManifestPorts,
  checkRules: CheckRules,
  input: ManifestInput,
): Promise<ApplyResult> {
  const document = readManifestDocument(input.text);
  return database.transaction(async (tx) => {
    // The transaction may be repeated, and what is known may have changed: problems are collected anew.
    const problems = createProblemList(document);
    const source = readManifest(document.root, problems);
    await lockApply(tx);
    const known = { providerNames: await ports.providerNames(tx), agentIds: await ports.agentIds(tx) };
    const compiled = compileManifest(source, known, { baseDirectory: input.baseDirectory, problems, checkRules });
    if (problems.size > 0) return { kind: "invalid", problems: problems.sorted() } satisfies ApplyResult;

    const { dryRun } = input;
    const providers = await ports.applyProviders(tx, compiled.providers, { dryRun });
    const agents = await ports.applyAgents(tx, compiled.agents, { dryRun });
    const mcpServers = await ports.applyMcpServers(tx, compiled.mcpServers, { dryRun });
    const changes = [
      ...providers.map((change) => ({ resourceType: "provider" as const, change })),
      ...agents.map((change) => ({ resourceType: "agent" as const, change })),
      ...mcpServers.map((change) => ({ resourceType: "mcp-server" as const, change })),
    ];
    return { kind: "applied", changes } satisfies ApplyResult;
  });
}

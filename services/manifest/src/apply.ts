import type { HandlerContext } from "@connectrpc/connect";
import { reachOf, type Caller, type RecordChanges } from "@openhermit/caller";
import { permissionDenied, type MeshError } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Agent, Provider } from "@openhermit/protocol/fleet/v1/agent";
import { compileManifest, type KnownNames } from "./manifest-compile.ts";
import { readManifestDocument } from "./manifest-document.ts";
import { readManifest } from "./manifest-schema.ts";
import { lockApply } from "./manifest-store.ts";
import type { CheckRules } from "./message-rules.ts";
import { createProblemList, type Problem } from "./problem-list.ts";

/** At most this many names are told of what was refused. */
const MAX_NAMES = 20;

/** What was, or would be, done to one resource. */
export interface ResourceChange {
  id: string;
  /** `refused`: the caller may not; nothing more is told of it. */
  action: "create" | "update" | "none" | "refused";
  /** Of an update: what changed, as it stands in a manifest. */
  fields: readonly { path: string; before: string; after: string }[];
}

/** How resources are applied. */
export interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
  /** Who applies the manifest. */
  caller: Caller;
  /** Whether the caller holds the right to change the resource of this id. What is as it should be needs none. */
  mayWrite(id: string): boolean;
  /** Writes into the audit trail; to be called within the transaction, once for each changed resource, not in a dry run. */
  record: RecordChanges;
}

/** What the manifest needs of the domains that own its resources. Each call runs within the given transaction. */
export interface ManifestPorts {
  /** The names of all providers, the built-in ones too: what a model may refer to. */
  providerNames(tx: Queryable): Promise<readonly string[]>;
  /** All agents with their teams (empty: nobody's): what an MCP server may be assigned to, as far as it is in reach. */
  agentTeams(tx: Queryable): Promise<ReadonlyMap<string, string>>;
  /** Whether a team exists. */
  isTeam(teamId: string): boolean;
  /** Whether the caller of a call holds the right `resource:id:verb`. */
  may(context: HandlerContext, resource: string, verb: "read" | "write", id: string): boolean;
  /** Creates or updates providers; answers in the order of the input. */
  applyProviders(
    tx: Queryable,
    providers: readonly Provider[],
    options: ApplyOptions,
  ): Promise<readonly ResourceChange[]>;
  /**
   * Creates or updates agents; answers in the order of the input. DESIRED_STATE_UNSPECIFIED leaves the state of an
   * existing agent as it is, and is running for a new one; an empty team leaves it in its team. With dryRun the
   * providers of the same manifest may not be stored yet; that a model's provider exists has been checked.
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
export interface ManifestInput extends Omit<ApplyOptions, "mayWrite"> {
  /** Whether the caller holds the right `resource:id:write`. */
  mayWrite(resource: string, id: string): boolean;
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

/**
 * Reads a manifest and makes the fleet what it says, in one transaction; with any problem nothing is changed. Throws
 * RIGHT_MISSING, also in a dry run, when it would change what the caller may not.
 */
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
    const known = await knownNames(tx, ports, input.caller);
    const compiled = compileManifest(source, known, { baseDirectory: input.baseDirectory, problems, checkRules });
    if (problems.size > 0) return { kind: "invalid", problems: problems.sorted() } satisfies ApplyResult;

    const { dryRun, caller, record } = input;
    const optionsFor = (resource: string): ApplyOptions => ({
      dryRun,
      caller,
      record,
      mayWrite: (id) => input.mayWrite(resource, id),
    });
    const providers = await ports.applyProviders(tx, compiled.providers, optionsFor("providers"));
    const agents = await ports.applyAgents(tx, compiled.agents, optionsFor("agents"));
    const mcpServers = await ports.applyMcpServers(tx, compiled.mcpServers, optionsFor("mcp-servers"));
    const changes = [
      ...providers.map((change) => ({ resourceType: "provider" as const, change })),
      ...agents.map((change) => ({ resourceType: "agent" as const, change })),
      ...mcpServers.map((change) => ({ resourceType: "mcp-server" as const, change })),
    ];
    const refused = changes.filter(({ change }) => change.action === "refused");
    if (refused.length > 0) throw refusal(refused.map(({ resourceType, change }) => `${resourceType} "${change.id}"`));
    return { kind: "applied", changes } satisfies ApplyResult;
  });
}

/** What the manifest may refer to. An agent out of reach is told in the words of one that never was. */
async function knownNames(tx: Queryable, ports: ManifestPorts, caller: Caller): Promise<KnownNames> {
  const reach = reachOf(caller);
  const teams = await ports.agentTeams(tx);
  const mayOwnFor = (teamId: string): boolean => caller.kind === "principal" && caller.mayOwnFor(teamId);
  return {
    providerNames: await ports.providerNames(tx),
    agentIds: [...teams].filter(([id, team]) => reach.has(id, team)).map(([id]) => id),
    // Who may not own for a team is not told whether it exists.
    isTeam: (teamId) => !mayOwnFor(teamId) || ports.isTeam(teamId),
  };
}

/** Names only what stands in the manifest: the caller has written it. */
function refusal(names: readonly string[]): MeshError {
  const shown = names.slice(0, MAX_NAMES).join(", ");
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  return permissionDenied("RIGHT_MISSING", `the manifest would change what you may not change: ${shown}${more}`, {
    hint: "Leave them out, or choose other names, or ask an admin. Nothing was changed.",
    fields: { resources: shown },
  });
}

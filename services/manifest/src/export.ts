import type { HandlerContext } from "@connectrpc/connect";
import { agentNotFound, reachOf, type Caller } from "@openhermit/caller";
import { permissionDenied, resourceExhausted } from "@openhermit/errors";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { bareUrl, isPlainValue } from "@openhermit/secret-reference";
import { manifestText, type ManifestContent } from "./export-yaml.ts";
import type { ManifestParts } from "./plan.ts";
import { inSnapshot } from "./snapshot.ts";

/** A fleet as a manifest. */
export interface ExportedManifest {
  text: string;
  skillIds: string[];
  /** How many values in it may be secret: of environments and headers, and URLs with a password or a query. */
  plainValueCount: number;
}

/** The largest manifest, bytes: what fits an answer. */
const MAX_BYTES = 15 * 1024 * 1024;

/** The most names that an error tells. */
const MAX_NAMES = 20;

/**
 * The manifest of what is, as far as it is in reach: all, or the named agents with what they use. Servers with values that are
 * hidden, since agents out of reach use them, are left out and named in a comment: with empty values in their places the
 * manifest would, once applied, take them away. Throws AGENT_NOT_FOUND, and RIGHT_MISSING when it would tell values that the
 * caller may not read since it may not write them.
 */
export async function exportManifest(
  { database, ports }: ManifestParts,
  { caller, context }: { caller: Caller; context: HandlerContext },
  { agentIds, skillPaths }: { agentIds: readonly string[]; skillPaths: boolean },
): Promise<ExportedManifest> {
  const reach = reachOf(caller);
  const { hiddenServerIds, ...all } = await inSnapshot(database, async (tx) => ({
    ...(await ports.exportFleet(tx, reach)),
    ...(await ports.exportCatalog(tx, reach)),
  }));
  const content = agentIds.length === 0 ? all : narrowTo(all, new Set(agentIds));
  const isLeftOut = ({ id }: McpServer): boolean => hiddenServerIds.includes(id);
  const mcpServers = content.mcpServers.filter((server) => !isLeftOut(server));
  const plain = mcpServers.map((server) => ({ server, count: plainValues(server) }));
  const hidden = plain
    .filter(({ server, count }) => count > 0 && !ports.may(context, "mcp-servers", "write", server.id))
    .map(({ server }) => `"${server.id}"`);
  if (hidden.length > 0) {
    const names = hidden.slice(0, MAX_NAMES).join(", ") + (hidden.length > MAX_NAMES ? " and more" : "");
    throw permissionDenied(
      "RIGHT_MISSING",
      `the manifest would show values of MCP servers you may not change: ${names}`,
      {
        hint: "Export agents that do not use them, or ask an admin.",
        fields: { resources: names },
      },
    );
  }
  const text = manifestText(
    { ...content, mcpServers },
    { skillPaths, leftOut: content.mcpServers.filter(isLeftOut).map(({ id }) => id) },
  );
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw resourceExhausted("EXPORT_TOO_LARGE", "the manifest of all of this would have more than 15 MiB", {
      hint: "Export in parts, by the names of agents.",
    });
  }
  return {
    text,
    skillIds: content.skills.map(({ id }) => id).toSorted(),
    plainValueCount: plain.reduce((sum, { count }) => sum + count, 0),
  };
}

/** The named agents with the providers, servers and skills they use, and the defaults. */
function narrowTo(all: ManifestContent, agentIds: ReadonlySet<string>): ManifestContent {
  const agents = all.agents.filter(({ id }) => agentIds.has(id));
  const found = new Set(agents.map(({ id }) => id));
  for (const id of agentIds) if (!found.has(id)) throw agentNotFound(id);
  const models = [all.defaults?.spec?.model, ...agents.map(({ spec }) => spec?.model)];
  const providers = new Set(models.map((model) => model?.split("/", 1)[0]));
  const used = <T extends { agents: string[]; disabledAgents: string[] }>(things: readonly T[]): T[] =>
    things.flatMap((thing) => {
      const disabledAgents = thing.disabledAgents.filter((id) => agentIds.has(id));
      const own = thing.agents.filter((id) => id === "*" || agentIds.has(id));
      const isUsed = own.some((id) => id !== "*") || (own.length > 0 && disabledAgents.length < agentIds.size);
      return isUsed ? [{ ...thing, agents: own, disabledAgents }] : [];
    });
  return {
    defaults: all.defaults,
    providers: all.providers.filter(({ name }) => providers.has(name)),
    agents,
    skills: used(all.skills),
    mcpServers: used(all.mcpServers),
  };
}

function plainValues({ transport }: McpServer): number {
  switch (transport.case) {
    case "stdio":
      return Object.values(transport.value.env).filter(isPlainValue).length;
    case "http": {
      const { url, headers } = transport.value;
      return Object.values(headers).filter(isPlainValue).length + (bareUrl(url) === url ? 0 : 1);
    }
    case undefined:
      return 0;
  }
}

import { toJson, type DescMessage, type Message } from "@bufbuild/protobuf";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { AgentSchema, DefaultsSchema, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import { createHash } from "node:crypto";
import type { CompiledManifest } from "./manifest-compile.ts";
import type { PlannedChange, ResourceType } from "./planned-change.ts";

/**
 * Names a plan and the state it was made for: a hash over what changes, with its true values, also the secret ones, and
 * over the versions of everything that the manifest names or deletes. The order in the manifest is of no account.
 */
export function planToken(prune: boolean, changes: readonly PlannedChange[], wanted: CompiledManifest): string {
  const values = wantedValues(wanted);
  const lines = changes.map(({ resourceType, change }) => {
    const { id, action, version, fields } = change;
    const key = `${resourceType}/${id}`;
    const isWritten = action === "create" || action === "update";
    const differences = fields.map(({ path, before, after }) => [path, before, after]);
    return JSON.stringify([key, action, version, differences, isWritten ? canonical(values.get(key)?.()) : null]);
  });
  const hash = createHash("sha256").update(prune ? "prune\n" : "keep\n");
  for (const line of lines.toSorted()) hash.update(`${line}\n`);
  // 128 bits tell plans apart, and fit a line of the terminal.
  return hash.digest().subarray(0, 16).toString("base64url");
}

/** What the manifest asks for, by type and id, as JSON when asked. */
function wantedValues(wanted: CompiledManifest): Map<string, () => unknown> {
  const values = new Map<string, () => unknown>();
  const add = (type: ResourceType, id: string, schema: DescMessage, message: Message): void => {
    values.set(`${type}/${id}`, () => toJson(schema, message));
  };
  if (wanted.defaults !== undefined) add("defaults", "defaults", DefaultsSchema, wanted.defaults);
  for (const provider of wanted.providers) add("provider", provider.name, ProviderSchema, provider);
  for (const agent of wanted.agents) add("agent", agent.id, AgentSchema, agent);
  for (const skill of wanted.skills) add("skill", skill.id, SkillSchema, skill);
  for (const server of wanted.mcpServers) add("mcp-server", server.id, McpServerSchema, server);
  return values;
}

/** The same value with the keys of all its objects in one order. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value ?? null;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, entry]) => [key, canonical(entry)]);
}

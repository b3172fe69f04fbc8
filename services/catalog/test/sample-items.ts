import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { packBundle, type BundleFile } from "@openhermit/skill-bundle";
import type { CatalogClient } from "./catalog-harness.ts";

/** A server whose environment holds a secret with `hush` in it. */
export function server(id: string, agents: string[], rest: MessageInitShape<typeof McpServerSchema> = {}): McpServer {
  return create(McpServerSchema, {
    id,
    agents,
    transport: { case: "stdio", value: { command: "node", args: ["server.js"], env: { API_KEY: "hush-1" } } },
    ...rest,
  });
}

/** The files of a skill. Another text gives another digest. */
export function skillFiles(name: string, text = "Do it well."): BundleFile[] {
  const front = `---\nname: ${name}\ndescription: What ${name} does.\nmetadata:\n  author: me\n---\n`;
  return [
    { path: "SKILL.md", content: Buffer.from(`${front}\n${text}\n`), executable: false },
    { path: "scripts/run.sh", content: Buffer.from("#!/bin/sh\n"), executable: true },
  ];
}

/** The digest of {@link skillFiles}. */
export function digestOf(name: string, text?: string): string {
  return packBundle(skillFiles(name, text)).digest;
}

/** Stores the bundle of a skill and puts the skill. */
export async function putSkill(
  client: CatalogClient,
  id: string,
  agents: string[],
  { text, ...rest }: { text?: string; disabledAgents?: string[]; etag?: string } = {},
) {
  const { digest } = await client.putBundle({ bundle: { files: skillFiles(id, text) } });
  const { skill } = await client.putSkill({ skill: { id, digest, agents, ...rest } });
  if (skill === undefined) throw new Error("no skill in the answer");
  return skill;
}

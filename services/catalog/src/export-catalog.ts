import { create, equals } from "@bufbuild/protobuf";
import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { isVisible, mayAssign, visibleAssignment } from "./assignment-reach.ts";
import { withoutSecrets } from "./mcp-server.ts";
import { listServers } from "./mcp-server-store.ts";
import { listSkills } from "./skill-store.ts";

/**
 * What the reach sees, in the order of the ids, as a manifest would ask for it. Assignments out of reach are left out. So are
 * servers with values that the reach may not see: whoever applies them without these removes them.
 */
export async function exportCatalog(
  tx: Queryable,
  reach: Reach,
): Promise<{ mcpServers: McpServer[]; skills: Skill[] }> {
  const servers = (await listServers(tx, "")).map(({ item }) => item);
  const skills = (await listSkills(tx, "")).map(({ item }) => item);
  return {
    mcpServers: servers
      .filter((server) => isVisible(reach, server))
      .filter((server) => mayAssign(reach, [server]) || equals(McpServerSchema, server, withoutSecrets(server)))
      .map((server) => create(McpServerSchema, { ...server, ...visibleAssignment(reach, server) })),
    skills: skills
      .filter((skill) => isVisible(reach, skill))
      .map((skill) => create(SkillSchema, { id: skill.id, digest: skill.digest, ...visibleAssignment(reach, skill) })),
  };
}

import { create } from "@bufbuild/protobuf";
import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { isVisible, mayAssign, visibleAssignment } from "./assignment-reach.ts";
import type { ExportedCatalog } from "./catalog-ports.ts";
import { serverFields, withoutSecrets } from "./mcp-server.ts";
import { listServers } from "./mcp-server-store.ts";
import { listSkills } from "./skill-store.ts";

/** What the reach sees, in the order of the ids, as a manifest would ask for it. */
export async function exportCatalog(tx: Queryable, reach: Reach): Promise<ExportedCatalog> {
  const servers = (await listServers(tx, "")).map(({ item }) => item).filter((server) => isVisible(reach, server));
  const skills = (await listSkills(tx, "")).map(({ item }) => item).filter((skill) => isVisible(reach, skill));
  const hidden = new Set(
    servers
      .filter((server) => !mayAssign(reach, [server]))
      .filter((server) => [...serverFields(server).values()].some(({ sensitive }) => sensitive))
      .map(({ id }) => id),
  );
  return {
    mcpServers: servers.map((server) =>
      create(McpServerSchema, {
        ...(hidden.has(server.id) ? withoutSecrets(server) : server),
        ...visibleAssignment(reach, server),
      }),
    ),
    skills: skills.map((skill) =>
      create(SkillSchema, { id: skill.id, digest: skill.digest, ...visibleAssignment(reach, skill) }),
    ),
    hiddenServerIds: [...hidden],
  };
}

import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import type { StoredMcpServer } from "./mcp-server.ts";
import { listServers } from "./mcp-server-store.ts";
import { isVisible } from "./server-reach.ts";

/** How many servers are read at once, at least: most of them are visible to most callers. */
const CHUNK = 200;

/**
 * Up to `limit` servers after an id that may be seen, in the order of their ids. Read in chunks, since only the reach
 * itself knows about an agent that a server is assigned to and that does not exist.
 */
export async function listVisible(
  db: Queryable,
  reach: Reach,
  afterId: string,
  limit: number,
): Promise<StoredMcpServer[]> {
  if (reach.all) return await listServers(db, afterId, limit);
  const chunk = Math.max(limit, CHUNK);
  const found: StoredMcpServer[] = [];
  let after = afterId;
  for (;;) {
    const read = await listServers(db, after, chunk);
    found.push(...read.filter(({ server }) => isVisible(reach, server)));
    const last = read.at(-1);
    if (last === undefined || read.length < chunk || found.length >= limit) return found.slice(0, limit);
    after = last.server.id;
  }
}

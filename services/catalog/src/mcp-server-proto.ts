import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Reach } from "@openhermit/caller";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { etagOf, type StoredMcpServer } from "./mcp-server.ts";
import { visibleServer } from "./server-reach.ts";

/** A stored server as a message for a caller: agents out of reach are left out. */
export function toMessage({ server, version, createTime, updateTime }: StoredMcpServer, reach: Reach): McpServer {
  return create(McpServerSchema, {
    ...visibleServer(reach, server),
    etag: etagOf(version),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { etagOf, type StoredMcpServer } from "./mcp-server.ts";

/** A stored server as a message. */
export function toMessage({ server, version, createTime, updateTime }: StoredMcpServer): McpServer {
  return create(McpServerSchema, {
    ...server,
    etag: etagOf(version),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}

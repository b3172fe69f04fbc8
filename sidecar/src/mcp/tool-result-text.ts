import type { CallToolResult } from "@modelcontextprotocol/client";
import type { StrikeOut } from "./secret-values.ts";
import { boundToolText, MAX_TOOL_TEXT_BYTES } from "../tools/tool-text.ts";

type Block = CallToolResult["content"][number];

/** An MCP result as text for a model: texts as they are, other content as a placeholder; without secrets, at most 256 KiB. */
export function toolResultText(result: CallToolResult, strikeOut: StrikeOut): string {
  const texts: string[] = [];
  let size = 0;
  for (const block of result.content ?? []) {
    const text = blockText(block);
    texts.push(text);
    size += text.length;
    // More would be cut anyway.
    if (size > MAX_TOOL_TEXT_BYTES) break;
  }
  if (texts.length === 0 && result.structuredContent !== undefined) {
    texts.push(JSON.stringify(result.structuredContent));
  }
  return boundToolText(texts.length === 0 ? "(no content)" : strikeOut(texts.join("\n")));
}

function blockText(block: Block): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
    case "audio":
      return `[${block.type} ${block.mimeType}, ${base64Bytes(block.data)} bytes]`;
    case "resource_link":
      return `[resource ${block.name} ${block.uri}${block.mimeType === undefined ? "" : ` ${block.mimeType}`}]`;
    case "resource": {
      const { resource } = block;
      if ("text" in resource) return `[resource ${resource.uri}]\n${resource.text}`;
      return `[resource ${resource.uri} ${resource.mimeType ?? "binary"}, ${base64Bytes(resource.blob)} bytes]`;
    }
    default:
      return `[content of the unknown type ${String((block as { type?: unknown }).type)}]`;
  }
}

function base64Bytes(data: string): number {
  return Math.floor((data.length * 3) / 4) - (data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0);
}

import { clone, create, equals, toJson, type JsonValue } from "@bufbuild/protobuf";
import { conflict, invalidArgument, notFound, type MeshError } from "@openhermit/errors";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";

/** The assignment that means every agent, also every future one. */
export const EVERY_AGENT = "*";

/** An MCP server as stored. */
export interface StoredMcpServer {
  /** Without etag and times; `agents` in order. */
  server: McpServer;
  version: bigint;
  createTime: Date;
  updateTime: Date;
}

/** The server as a caller asks for it: without output-only fields, its agents in order and each once. */
export function desiredServer(message: McpServer): McpServer {
  if (message.transport.case === undefined) {
    throw invalidArgument("MCP_SERVER_TRANSPORT_MISSING", `MCP server "${message.id}" says not how to reach it`, {
      hint: "Set stdio for a child process, or http for a streamable HTTP endpoint.",
      fields: { mcp_server_id: message.id },
    });
  }
  const { id, transport, agents, connectTimeout, callTimeout } = clone(McpServerSchema, message);
  return create(McpServerSchema, {
    id,
    transport,
    agents: [...new Set(agents)].toSorted(),
    ...(connectTimeout !== undefined && { connectTimeout }),
    ...(callTimeout !== undefined && { callTimeout }),
  });
}

/** The etag of a version. */
export function etagOf(version: bigint): string {
  return version.toString(36);
}

/** Throws conflict when an etag is given and the stored server is another, or gone. */
export function checkEtag(id: string, etag: string, stored: StoredMcpServer | undefined): void {
  if (etag === "" || (stored !== undefined && etagOf(stored.version) === etag)) return;
  const what = stored === undefined ? "was deleted" : "was changed by somebody else";
  throw conflict("MCP_SERVER_CHANGED", `MCP server "${id}" ${what} in between`, {
    hint: "Read it again, then repeat the change.",
    fields: { mcp_server_id: id },
  });
}

/** The error for a server that does not exist. */
export function serverNotFound(id: string): MeshError {
  return notFound("MCP_SERVER_NOT_FOUND", `MCP server "${id}" does not exist`, {
    hint: "List the MCP servers for their ids.",
    fields: { mcp_server_id: id },
  });
}

/**
 * The targets (agents, or `*`) whose catalogue changes when `before` becomes `after`: those that use it, if the
 * server itself changed, else those that gain or lose it. In order.
 */
export function changedTargets(before: McpServer | undefined, after: McpServer | undefined): string[] {
  const old = new Set(before?.agents);
  const now = new Set(after?.agents);
  const all = [...new Set([...old, ...now])].toSorted();
  return sameServer(before, after) ? all.filter((target) => old.has(target) !== now.has(target)) : all;
}

/** Whether the two are the same but for their assignment. */
function sameServer(before: McpServer | undefined, after: McpServer | undefined): boolean {
  if (before === undefined || after === undefined) return false;
  return equals(McpServerSchema, { ...before, agents: [] }, { ...after, agents: [] });
}

/**
 * What changed, by the keys of a manifest; undefined for a server that is not yet or no more. Values of env, of headers
 * and of a URL's query may be secret and are not shown.
 */
export function differences(
  before: McpServer | undefined,
  after: McpServer | undefined,
): { path: string; before: string; after: string }[] {
  const old = leaves(before);
  const now = leaves(after);
  const paths = [...new Set([...old.keys(), ...now.keys()])];
  return paths
    .filter((path) => old.get(path) !== now.get(path))
    .map((path) => {
      const isSecret = path.startsWith("env.") || path.startsWith("headers.");
      const show = (value: string | undefined, word: string): string => {
        if (value === undefined) return "";
        if (isSecret) return word;
        return path === "url" ? bareUrl(value, word) : value;
      };
      return { path, before: show(old.get(path), "(set)"), after: show(now.get(path), "(set anew)") };
    });
}

/**
 * The server without what may be secret: values of env and of headers are empty, the URL has neither password nor query.
 * For whoever may see it and not change it.
 */
export function withoutSecrets(server: McpServer): McpServer {
  const { transport } = server;
  switch (transport.case) {
    case "stdio":
      return {
        ...server,
        transport: { case: "stdio", value: { ...transport.value, env: emptied(transport.value.env) } },
      };
    case "http": {
      const { url, headers } = transport.value;
      const value = { ...transport.value, url: bareUrl(url, "").trimEnd(), headers: emptied(headers) };
      return { ...server, transport: { case: "http", value } };
    }
    case undefined:
      return server;
  }
}

function emptied(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, ""]));
}

/** A URL without its password and its query, in which keys are handed over; `word` stands for them. */
function bareUrl(text: string, word: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username + url.password + url.search + url.hash === "") return text;
  return `${url.protocol}//${url.host}${url.pathname} ${word}`;
}

function leaves(server: McpServer | undefined): Map<string, string> {
  if (server === undefined) return new Map();
  const { stdio, http, agents, id: _, ...rest } = toJson(McpServerSchema, server) as Record<string, JsonValue>;
  const result = new Map<string, string>();
  const transport = (stdio ?? http ?? {}) as Record<string, JsonValue>;
  const assigned = server.agents.includes(EVERY_AGENT) ? EVERY_AGENT : (agents ?? []);
  for (const [key, value] of Object.entries({ ...transport, agents: assigned, ...rest })) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [name, one] of Object.entries(value)) result.set(`${key}.${name}`, textOf(one));
    } else {
      result.set(key, textOf(value));
    }
  }
  return result;
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

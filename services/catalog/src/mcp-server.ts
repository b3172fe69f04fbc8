import { clone, create, equals, toJson, type JsonValue } from "@bufbuild/protobuf";
import { durationText } from "@openhermit/duration-text";
import { conflict, invalidArgument, notFound, type MeshError } from "@openhermit/errors";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { bareUrl, isOnlyReference, secretReferences } from "@openhermit/secret-reference";
import { desiredAssignment } from "./assignment.ts";
import { assignmentFields, plainValue, SENSITIVE, type FieldValue } from "./field-difference.ts";
import { checkVariables } from "./check-variables.ts";

/**
 * The server as a caller asks for it: without output-only fields, its assignment in order. Errors:
 * MCP_SERVER_TRANSPORT_MISSING, MCP_VARIABLE_INVALID, ASSIGNMENT_CONTRADICTORY.
 */
export function desiredServer(message: McpServer): McpServer {
  if (message.transport.case === undefined) {
    throw invalidArgument("MCP_SERVER_TRANSPORT_MISSING", `MCP server "${message.id}" says not how to reach it`, {
      hint: "Set stdio for a child process, or http for a streamable HTTP endpoint.",
      fields: { mcp_server_id: message.id },
    });
  }
  const { id, transport, connectTimeout, callTimeout } = clone(McpServerSchema, message);
  const { agents, disabledAgents } = desiredAssignment(id, message);
  for (const [path, value] of variableValues(message)) checkVariables(id, path, value);
  return create(McpServerSchema, {
    id,
    transport,
    agents: [...agents],
    disabledAgents: [...disabledAgents],
    ...(connectTimeout !== undefined && { connectTimeout }),
    ...(callTimeout !== undefined && { callTimeout }),
  });
}

/** The error for a server that does not exist. */
export function serverNotFound(id: string): MeshError {
  return notFound("MCP_SERVER_NOT_FOUND", `MCP server "${id}" does not exist`, {
    hint: "List the MCP servers for their ids.",
    fields: { mcp_server_id: id },
  });
}

/** The error for a server that was changed since the caller read it. */
export function serverConflict(id: string, what: string): MeshError {
  return conflict("MCP_SERVER_CHANGED", `MCP server "${id}" ${what} in between`, {
    hint: "Read it again, then repeat the change.",
    fields: { mcp_server_id: id },
  });
}

/** Whether the two are the same but for their assignment. */
export function isSameServer(before: McpServer, after: McpServer): boolean {
  return equals(McpServerSchema, unassigned(before), unassigned(after));
}

/** The server without its assignment, etag and times. */
export function unassigned({ transport, connectTimeout, callTimeout }: McpServer): McpServer {
  return create(McpServerSchema, {
    transport,
    ...(connectTimeout !== undefined && { connectTimeout }),
    ...(callTimeout !== undefined && { callTimeout }),
  });
}

/** The names of the secrets that the server refers to, in order. */
export function secretNamesOf(server: McpServer): string[] {
  const names = variableValues(server).flatMap(([, value]) => secretReferences(value).map(({ name }) => name));
  return [...new Set(names)].toSorted();
}

/**
 * All that a server sets, by the keys of a manifest. Values of env, of headers and of a URL's password and query may be
 * secret and are not shown, unless they are nothing but a reference to a secret.
 */
export function serverFields(server: McpServer): Map<string, FieldValue> {
  const { connectTimeout, callTimeout } = server;
  const { stdio, http } = toJson(McpServerSchema, unassigned(server)) as Record<string, JsonValue>;
  const fields = new Map<string, FieldValue>();
  for (const [key, value] of Object.entries((stdio ?? http ?? {}) as Record<string, JsonValue>)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [name, one] of Object.entries(value)) fields.set(`${key}.${name}`, secretValue(textOf(one)));
    } else {
      fields.set(key, key === "url" ? urlValue(textOf(value)) : plainValue(textOf(value)));
    }
  }
  for (const [key, value] of assignmentFields(server.agents, server.disabledAgents)) fields.set(key, value);
  if (connectTimeout !== undefined) fields.set("connectTimeout", plainValue(durationText(connectTimeout)));
  if (callTimeout !== undefined) fields.set("callTimeout", plainValue(durationText(callTimeout)));
  return fields;
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
      const value = { ...transport.value, url: bareUrl(url), headers: emptied(headers) };
      return { ...server, transport: { case: "http", value } };
    }
    case undefined:
      return server;
  }
}

/** The values in which `${secret.NAME}` is replaced, by their paths. */
function variableValues({ transport }: McpServer): [path: string, value: string][] {
  const isStdio = transport.case === "stdio";
  const values = isStdio ? transport.value.env : (transport.value?.headers ?? {});
  return Object.entries(values).map(([name, value]) => [`${isStdio ? "env" : "headers"}.${name}`, value]);
}

function emptied(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, ""]));
}

function secretValue(text: string): FieldValue {
  return isOnlyReference(text) ? plainValue(text) : { text, shown: SENSITIVE, sensitive: true };
}

function urlValue(text: string): FieldValue {
  const bare = bareUrl(text);
  // Where the calls go must be seen by whoever reads a plan.
  return bare === text ? plainValue(text) : { text, shown: `${bare} ${SENSITIVE}`, sensitive: true };
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

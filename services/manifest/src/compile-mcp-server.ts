import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { resolvePath } from "./base-directory.ts";
import { compileAssignment } from "./compile-assignment.ts";
import { checkUrl, type CompileContext } from "./compile-context.ts";
import { hasStrayVariable } from "./interpolation.ts";
import type { ProblemList } from "./problem-list.ts";
import type { McpServerSource } from "./schema-resources.ts";

/** An MCP server as a message, and its problems. */
export function compileMcpServer(
  id: string,
  source: McpServerSource,
  agentIds: ReadonlySet<string>,
  context: CompileContext,
): McpServer {
  const { problems, checkRules } = context;
  const path = ["mcpServers", id];
  const assignment = compileAssignment(`MCP server "${id}"`, path, source, agentIds, context);
  const isReachable = checkTransport(id, source, problems);
  const message = create(McpServerSchema, {
    id,
    ...assignment,
    ...(source.connectTimeout !== undefined && { connectTimeout: source.connectTimeout }),
    ...(source.callTimeout !== undefined && { callTimeout: source.callTimeout }),
    transport: compileTransport(id, source, context),
  });
  if (isReachable) checkRules(McpServerSchema, message, path, problems);
  return message;
}

/** Whether the server has a command or a URL; what does not fit together is a problem. */
function checkTransport(id: string, source: McpServerSource, problems: ProblemList): boolean {
  const path = ["mcpServers", id];
  const { type, command, url } = source;
  if (command !== undefined && url !== undefined) {
    problems.add([...path, "url"], `MCP server "${id}" has both command and url`, "keep one of the two", "key");
    return true;
  }
  if (command === undefined && url === undefined) {
    if (problems.touches([...path, "command"]) || problems.touches([...path, "url"])) return false;
    const hint = "add command: for a child process, or url: for a streamable HTTP endpoint";
    problems.add(path, `MCP server "${id}" has neither command nor url`, hint, "key");
    return false;
  }
  const [given, other] = url === undefined ? ["command", "url"] : ["url", "command"];
  if (type !== undefined && (type === "stdio") !== (given === "command")) {
    const hint = type === "stdio" ? "write type: http, or leave it out" : "write type: stdio, or leave it out";
    problems.add([...path, "type"], `type ${type} does not go with ${given}: it needs ${other}`, hint);
  }
  for (const key of given === "command" ? (["headers"] as const) : (["args", "env"] as const)) {
    if (source[key] !== undefined) problems.add([...path, key], `${key} has no use with ${given}`, "remove it", "key");
  }
  return true;
}

function compileTransport(
  id: string,
  source: McpServerSource,
  { interpolate, baseDirectoryOf, problems }: CompileContext,
): NonNullable<MessageInitShape<typeof McpServerSchema>["transport"]> {
  const path = ["mcpServers", id];
  /** A program or an argument. */
  const word = (written: string, ...at: (string | number)[]): string => {
    const place = [...path, ...at];
    const value = interpolate(written, place, { secrets: false });
    return resolvePath(value, written, baseDirectoryOf(path), place, problems);
  };
  const values = (key: "env" | "headers"): Record<string, string> =>
    Object.fromEntries(
      [...(source[key] ?? [])].map(([name, written]) => {
        const place = [...path, key, name];
        const value = interpolate(written, place, { secrets: true });
        if (hasStrayVariable(value) && !problems.touches(place)) {
          const hint = "put the value into a secret and write ${secret.NAME}";
          problems.add(place, "the value has ${ in it, which the sidecar would take for a secret's name", hint);
        }
        return [name, value];
      }),
    );
  if (source.url !== undefined) {
    const url = interpolate(source.url, [...path, "url"], { secrets: false });
    checkUrl(url, [...path, "url"], problems);
    return { case: "http", value: { url, headers: values("headers") } };
  }
  const command = word(source.command ?? "", "command");
  const args = (source.args ?? []).map((argument, index) => word(argument, "args", index));
  return { case: "stdio", value: { command, args, env: values("env") } };
}

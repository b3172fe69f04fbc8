import { invalidArgument } from "@openhermit/errors";
import { withoutReferences } from "@openhermit/secret-reference";

/** Throws MCP_VARIABLE_INVALID for a value in which something looks like a variable and is no secret's. */
export function checkVariables(mcpServerId: string, path: string, value: string): void {
  const rest = withoutReferences(value, " ");
  const start = rest.indexOf("${");
  if (start < 0) return;
  // Nothing but the name is shown: what stands around it may be secret.
  const variable = /^\$\{[\w.-]{0,60}\}/.exec(rest.slice(start))?.[0] ?? "${";
  throw invalidArgument(
    "MCP_VARIABLE_INVALID",
    `${path} of MCP server "${mcpServerId}" has ${variable}, which is not known`,
    {
      hint:
        "Only ${secret.NAME} is known here, NAME in capitals, ending in KEY, TOKEN, SECRET or PASSWORD and not beginning " +
        "with OPENHERMIT_. A value that has ${ in it goes into a secret.",
      fields: { mcp_server_id: mcpServerId, path },
    },
  );
}

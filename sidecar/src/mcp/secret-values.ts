import { clone } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { isSecretName } from "@openhermit/secret-reference";

type Environment = Readonly<Record<string, string | undefined>>;

/** Also what names no secret, which is said and not sent. */
const PLACEHOLDER = /\$\{secret\.([^}]*)\}/g;
/** The variable of the sidecar that lists, with commas, the variables that MCP servers may name. */
const LISTED = "OPENHERMIT_MCP_SECRETS";
/** A line of a secret of several lines that is shorter is no secret by itself. */
const MIN_LINE = 6;

/** Takes the values of secrets out of a text. */
export type StrikeOut = (text: string) => string;

/** Leaves a text as it is. */
export const strikeNothing: StrikeOut = (text) => text;

/** A secret that a server names and that can't be had. Its message is a sentence for a person and has no values in it. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}

/** A server with the secrets that it names. Not to be kept longer than its connection, never to be logged or reported. */
export interface ResolvedServer {
  readonly server: McpServer;
  /** To be applied to whatever comes from the server, or is said of it, before that is cut. */
  readonly strikeOut: StrikeOut;
}

/**
 * Puts the values of secrets, `${secret.NAME}`, in the environment or the headers of a server: NAME is a variable of the sidecar's
 * environment that ends in KEY, TOKEN, SECRET or PASSWORD and that its OPENHERMIT_MCP_SECRETS lists. Throws a SecretError that names
 * the variable when it is not set, or may not be a secret.
 */
export function resolveSecrets(server: McpServer, env: Environment): ResolvedServer {
  const values = new Set<string>();
  const listed = new Set((env[LISTED] ?? "").split(",").map((name) => name.trim()));
  const valueOf = (name: string): string => {
    if (!isSecretName(name)) {
      throw new SecretError(
        `"\${secret.${name.slice(0, 100)}}" names no secret: a name has A to Z, 0 to 9 and _, and ends in KEY, TOKEN, SECRET or PASSWORD.`,
      );
    }
    if (!listed.has(name)) {
      throw new SecretError(
        `The variable ${name} is not listed in ${LISTED}, so MCP servers may not have it. List it where the gateway runs, and start the gateway again.`,
      );
    }
    const value = env[name];
    if (value === undefined || value === "") {
      throw new SecretError(
        `The variable ${name} is not set in the environment of the agent's sidecar. Set it where the gateway runs, start the gateway again, ` +
          "and restart the agent.",
      );
    }
    values.add(value);
    return value;
  };
  const fill = (texts: Record<string, string>): void => {
    for (const [key, text] of Object.entries(texts)) {
      texts[key] = text.replaceAll(PLACEHOLDER, (_whole, name: string) => valueOf(name));
    }
  };
  const resolved = clone(McpServerSchema, server);
  const { transport } = resolved;
  if (transport.case === "stdio") fill(transport.value.env);
  if (transport.case === "http") fill(transport.value.headers);
  return { server: resolved, strikeOut: strikeOutOf(values) };
}

/** Also as a value stands in JSON or in a URL, and each line of one that has several. */
function strikeOutOf(values: ReadonlySet<string>): StrikeOut {
  const forms = new Set<string>();
  for (const value of values) {
    const lines = value.split(/\r?\n/).map((line) => line.trim());
    for (const text of [
      value,
      value.trim(),
      ...(lines.length > 1 ? lines.filter((one) => one.length >= MIN_LINE) : []),
    ]) {
      if (text === "") continue;
      forms.add(text).add(JSON.stringify(text).slice(1, -1)).add(encodeURIComponent(text.toWellFormed()));
    }
  }
  if (forms.size === 0) return strikeNothing;
  // The longest first: a secret may be the beginning of another.
  const pattern = [...forms]
    .toSorted((one, other) => other.length - one.length)
    .map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  const expression = new RegExp(pattern.join("|"), "g");
  return (text) => text.replace(expression, "[secret]");
}

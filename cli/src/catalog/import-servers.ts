import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationText } from "@openhermit/duration-text";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { ManifestSchema, PlanManifestResponse } from "@openhermit/protocol/manifest/v1/manifest_service";
import { CliError } from "../cli-error.ts";
import type { Gateway } from "../gateway-client.ts";
import { problemsOf } from "../manifest/manifest-problems.ts";
import type { ForeignServer } from "./foreign-servers.ts";

type Manifest = MessageInitShape<typeof ManifestSchema>;

/** A manifest of these servers. One that exists keeps its agents, unless `agents` says otherwise, and its bounds of time. */
export function manifestOf(
  servers: readonly ForeignServer[],
  options: {
    existing: readonly McpServer[];
    agents: readonly string[] | undefined;
    file: string;
    baseDirectory: string;
  },
): Manifest {
  const { existing, agents, file, baseDirectory } = options;
  const mcpServers = Object.fromEntries(
    servers.map(({ id, ...server }) => {
      const before = existing.find((one) => one.id === id);
      return [id, { ...escaped(server), ...assignmentOf(before, agents), ...boundsOf(before) }];
    }),
  );
  return { files: [{ name: file, text: JSON.stringify({ mcpServers }, null, 1), baseDirectory }] };
}

function assignmentOf(before: McpServer | undefined, wanted: readonly string[] | undefined): object {
  const agents = wanted ? [...new Set(wanted)] : (before?.agents ?? []);
  const disabledAgents = (before?.disabledAgents ?? []).filter((agent) => !agents.includes(agent));
  return { agents, ...(disabledAgents.length > 0 && { disabledAgents }) };
}

function boundsOf(before: McpServer | undefined): object {
  return {
    ...(before?.connectTimeout && { connectTimeout: durationText(before.connectTimeout) }),
    ...(before?.callTimeout && { callTimeout: durationText(before.callTimeout) }),
  };
}

/** All text of a server so that the manifest leaves it as it is; only secrets in an environment or header stay references. */
function escaped({ command, args, env, url, headers, ...rest }: Omit<ForeignServer, "id">): object {
  const plain = (text: string): string => text.replaceAll("${", "$$${");
  const values = (pairs: Readonly<Record<string, string>>): object =>
    Object.fromEntries(
      Object.entries(pairs).map(([name, text]) => [name, text.replaceAll(/\$\{(?!secret\.)/g, "$$${")]),
    );
  return {
    ...rest,
    ...(command !== undefined && { command: plain(command) }),
    ...(args && { args: args.map(plain) }),
    ...(env && { env: values(env) }),
    ...(url !== undefined && { url: plain(url) }),
    ...(headers && { headers: values(headers) }),
  };
}

/** What the import would change. Throws CliError with every problem of the servers. */
export async function planImport({ manifest }: Gateway, wanted: Manifest): Promise<PlanManifestResponse> {
  try {
    return await manifest.planManifest({ manifest: wanted });
  } catch (error) {
    const problems = problemsOf(error);
    if (problems.length === 0) throw error;
    const lines = problems.map(({ path, message, hint }) => {
      const place = path.replace(/^mcpServers\./, "");
      return `${place === "" ? "" : `${place}: `}${message}${hint === "" ? "" : `; ${hint}`}`;
    });
    throw new CliError("the servers can't be imported; nothing was changed", { why: lines.join("\n"), cause: error });
  }
}

import { listAllAgents } from "./agent-view.ts";
import { CliError } from "./cli-error.ts";
import { errorDetail } from "./error-report.ts";
import type { Gateway } from "./gateway-client.ts";
import { nearestWord } from "./nearest-word.ts";

/** How long a suggestion may delay an error, in milliseconds. */
const PATIENCE_MS = 2000;

interface Kind {
  /** The field of the error that holds what was asked for. */
  readonly field: string;
  names(gateway: Gateway, signal: AbortSignal): Promise<string[]>;
}

const ids = (found: readonly { id: string }[]): string[] => found.map(({ id }) => id);

const KINDS: Readonly<Record<string, Kind>> = {
  AGENT_NOT_FOUND: {
    field: "agent_id",
    names: async (gateway, signal) => ids(await listAllAgents(gateway, signal)),
  },
  MCP_SERVER_NOT_FOUND: {
    field: "mcp_server_id",
    names: async (gateway, signal) => {
      const { listAllMcpServers } = await import("./catalog/catalog-lists.ts");
      return ids(await listAllMcpServers(gateway, signal));
    },
  },
  SKILL_NOT_FOUND: {
    field: "skill_id",
    names: async (gateway, signal) => {
      const { listAllSkills } = await import("./catalog/catalog-lists.ts");
      return ids(await listAllSkills(gateway, signal));
    },
  },
  PROVIDER_NOT_FOUND: {
    field: "provider",
    names: async ({ fleet }, signal) => (await fleet.listProviders({}, { signal })).providers.map(({ name }) => name),
  },
  MEMBER_NOT_FOUND: {
    field: "member_id",
    names: async (gateway, signal) => {
      const { accessClients } = await import("./access/access-clients.ts");
      const { listAllMembers } = await import("./access/member-view.ts");
      return ids(await listAllMembers(accessClients(gateway), signal));
    },
  },
  SERVICE_ACCOUNT_NOT_FOUND: {
    field: "service_account_id",
    names: async (gateway, signal) => {
      const { accessClients } = await import("./access/access-clients.ts");
      const { listAllServiceAccounts } = await import("./access/service-account-view.ts");
      return ids(await listAllServiceAccounts(accessClients(gateway), signal));
    },
  },
  TEAM_NOT_FOUND: {
    field: "team_id",
    names: async (gateway, signal) => {
      const { accessClients } = await import("./access/access-clients.ts");
      const { listAllTeams } = await import("./access/team-view.ts");
      return ids(await listAllTeams(accessClients(gateway), signal));
    },
  },
};

/** The error of what does not exist, with the name that was probably meant. Other errors as they are. */
export async function suggestName(shown: CliError, gateway: Gateway): Promise<CliError> {
  const detail = errorDetail(shown.cause);
  const kind = detail && KINDS[detail.reason];
  const asked = kind && detail.fields[kind.field];
  // The token of a program is mostly made for one thing: to ask for more would be refused, and stand in the audit trail.
  if (!asked || gateway.source?.kind === "environment") return shown;
  const names = await kind.names(gateway, AbortSignal.timeout(PATIENCE_MS)).catch(() => []);
  const meant = nearestWord(asked, names);
  if (meant === undefined) return shown;
  const { message, next, exitCode, cause } = shown;
  return new CliError(message, { why: `did you mean ${meant}?`, next, exitCode, cause });
}

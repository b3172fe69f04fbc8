import type { ErrorDetail } from "@openhermit/protocol/common/v1/error";
import type { CredentialSource } from "./find-gateway.ts";

type Fields = Readonly<Record<string, string>>;

const COMMANDS: Readonly<Record<string, (fields: Fields, source: CredentialSource | undefined) => string>> = {
  AGENT_NOT_FOUND: () => "bin/hermit agents list",
  AGENT_STOPPED: ({ agent_id: id = "AGENT" }) => `bin/hermit agents start ${id}, then send the message again`,
  AGENT_UNREACHABLE: ({ agent_id: id = "AGENT" }) => `bin/hermit agents get ${id}`,
  MCP_SERVER_NOT_FOUND: () => "bin/hermit mcp list",
  PROVIDER_NOT_FOUND: () => "name a provider that exists, or put this one under providers: in a manifest and apply it",
  SKILL_NOT_FOUND: () => "bin/hermit skills list",
  SESSION_NOT_FOUND: () => "bin/hermit sessions list",
  CREDENTIAL_MISSING: (_, source) => renewCommand(source),
  CREDENTIAL_INVALID: (_, source) => renewCommand(source),
  FLEET_NOT_READ: () => "bin/hermit health",
  GATEWAY_NOT_READY: () => "bin/hermit health",
  AUDIENCE_WRONG: () => "bin/hermit whoami shows what the token stands for",
  CODE_INVALID: () => "ask for a new link, or begin again: bin/hermit login",
  GRANT_NOT_FOUND: () => "bin/hermit grants list",
  MEMBER_STATE_INVALID: ({ member_id: id = "MEMBER" }) => `bin/hermit members renew-invite ${id}`,
  OPERATOR_TOKEN_STAYS: () => "bin/hermit context list",
  TEAM_OWNS_AGENTS: () => "bin/hermit agents list, then bin/hermit agents move AGENT --no-team",
  ATTEMPTS_LIMITED: ({ retry_after_seconds: seconds }) =>
    seconds === undefined ? "wait some minutes, then try again" : `try again in ${seconds} s`,
  LOGIN_TOO_OLD: (_, source) => `${loginCommand(source)}, then this command again`,
  MEMBER_EXISTS: () => "choose another name; bin/hermit members list shows all",
  MEMBER_NOT_FOUND: () => "bin/hermit members list",
  OWNER_EXISTS: () => "bin/hermit members list; if an owner lost the password: bin/hermit members renew-invite MEMBER",
  OWNER_LAST: () => "make another owner first: bin/hermit members promote MEMBER --to owner",
  RIGHT_MISSING: ({ right }, source) => rightCommand(right, source),
  SCOPE_TOO_BROAD: () => "ask for less; bin/hermit whoami shows what you may do yourself",
  SCOPE_UNKNOWN: () => "bin/hermit tokens scopes",
  SERVICE_ACCOUNT_EXISTS: () => "bin/hermit service-accounts list",
  SERVICE_ACCOUNT_NOT_FOUND: () => "bin/hermit service-accounts list",
  TEAM_EXISTS: () => "bin/hermit teams list",
  TEAM_NOT_FOUND: () => "bin/hermit teams list",
  TOKEN_NOT_FOUND: () => "bin/hermit tokens list --all",
};

/** What to do next in the words of the command line; the gateway's own hint is for any client. */
export function nextCommand(detail: ErrorDetail | undefined, source?: CredentialSource): string | undefined {
  if (!detail) return undefined;
  return COMMANDS[detail.reason]?.(detail.fields, source) ?? (detail.hint === "" ? undefined : detail.hint);
}

/** What to do when a credential is not taken. */
export function renewCommand(source: CredentialSource | undefined): string {
  switch (source?.kind) {
    case "environment":
      return "set OPENHERMIT_TOKEN to a token that works, or unset it: bin/hermit tokens create makes one";
    case "home":
      return `compare ${source.file} with the home of the gateway that answers; bin/hermit doctor`;
    case "context":
    case undefined:
      return loginCommand(source);
  }
}

/** Who can help when a right is missing. */
function rightCommand(right: string | undefined, source: CredentialSource | undefined): string {
  if (right?.startsWith("host:") === true) {
    return "run it where the gateway runs, with its operator token: add --context local";
  }
  return source?.kind === "environment"
    ? "bin/hermit whoami shows the token's scopes; make one with more: bin/hermit tokens create"
    : "bin/hermit whoami shows your role and teams; an admin can change them";
}

const loginCommand = (source: CredentialSource | undefined): string =>
  source?.kind === "context" ? `bin/hermit login --context ${source.name}` : "bin/hermit login";

import type { ErrorDetail } from "@openhermit/protocol/common/v1/error";

const CHECK_TOKEN = "check OPENHERMIT_TOKEN, or the operator-token file of this home";

const COMMANDS: Readonly<Record<string, (fields: Readonly<Record<string, string>>) => string>> = {
  AGENT_NOT_FOUND: () => "bin/hermit agents list",
  AGENT_STOPPED: ({ agent_id: id = "AGENT" }) => `bin/hermit agents start ${id}, then send the message again`,
  AGENT_UNREACHABLE: ({ agent_id: id = "AGENT" }) => `bin/hermit agents get ${id}`,
  SESSION_NOT_FOUND: () => "bin/hermit sessions list",
  CREDENTIAL_MISSING: () => CHECK_TOKEN,
  CREDENTIAL_INVALID: () => CHECK_TOKEN,
  FLEET_NOT_READ: () => "bin/hermit health",
  GATEWAY_NOT_READY: () => "bin/hermit health",
};

/** What to do next in the words of the command line; the gateway's own hint is for any client. */
export function nextCommand(detail: ErrorDetail | undefined): string | undefined {
  if (!detail) return undefined;
  return COMMANDS[detail.reason]?.(detail.fields) ?? (detail.hint === "" ? undefined : detail.hint);
}

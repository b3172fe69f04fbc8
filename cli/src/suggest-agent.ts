import { listAllAgents } from "./agent-view.ts";
import { CliError } from "./cli-error.ts";
import { errorDetail } from "./error-report.ts";
import type { Gateway } from "./gateway-client.ts";
import { nearestWord } from "./nearest-word.ts";

/** How long a suggestion may delay an error, in milliseconds. */
const PATIENCE_MS = 2000;

/** The error of an agent that does not exist, with the one that was probably meant. Other errors as they are. */
export async function suggestAgent(shown: CliError, gateway: Gateway): Promise<CliError> {
  const detail = errorDetail(shown.cause);
  const asked = detail?.reason === "AGENT_NOT_FOUND" ? detail.fields["agent_id"] : undefined;
  if (asked === undefined) return shown;
  const agents = await listAllAgents(gateway, AbortSignal.timeout(PATIENCE_MS)).catch(() => []);
  const meant = nearestWord(
    asked,
    agents.map(({ id }) => id),
  );
  if (meant === undefined) return shown;
  const { message, next, exitCode, cause } = shown;
  return new CliError(message, { why: `did you mean ${meant}?`, next, exitCode, cause });
}

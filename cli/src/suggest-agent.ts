import { listAllAgents } from "./agent-view.ts";
import { CliError } from "./cli-error.ts";
import { errorDetail } from "./error-report.ts";
import type { Gateway } from "./gateway-client.ts";

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

/** The word that differs least, by at most two letters and at most half of them; undefined when none is near. */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  const asked = word.toLowerCase();
  let nearest: { word: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(asked, candidate.toLowerCase());
    const bound = Math.min(2, Math.floor(Math.max(asked.length, candidate.length) / 2));
    if (distance <= bound && distance < (nearest?.distance ?? Infinity)) nearest = { word: candidate, distance };
  }
  return nearest?.word;
}

/** Letters to insert, delete, replace or swap with their neighbour. */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let above = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const line = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(
        (above[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      line.push(cost);
    }
    before = above;
    above = line;
  }
  return above[right.length] ?? 0;
}

import { agentNotFound, reachOf, type Caller } from "@openhermit/caller";
import type { AgentCatalog, FieldDifference } from "./manifest-ports.ts";
import type { ManifestParts } from "./plan.ts";

/**
 * Says in what two agents differ of all they run with, in the order of a manifest. Throws AGENT_NOT_FOUND, also for an agent
 * out of reach.
 */
export async function compareAgents(
  { database, ports }: ManifestParts,
  caller: Caller,
  [one, other]: readonly [string, string],
): Promise<FieldDifference[]> {
  const teams = await ports.agentTeams(database);
  const reach = reachOf(caller);
  for (const id of [one, other]) {
    const team = teams.get(id);
    if (team === undefined || !reach.has(id, team)) throw agentNotFound(id);
  }
  const values = await ports.effectiveValues(database, [one, other]);
  const catalogs = await ports.catalogsFor([one, other]);
  const lines = (id: string): Map<string, string> => {
    const own = [...(values.get(id) ?? [])].map(([path, { value }]): [string, string] => [path, value]);
    return new Map([...own, ...catalogLines(catalogs.get(id), catalogs.get(id === one ? other : one))]);
  };
  const [before, after] = [lines(one), lines(other)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((path) => ({ path, before: before.get(path) ?? "", after: after.get(path) ?? "", sensitive: false }))
    .filter((field) => field.before !== field.after);
}

/** What an agent uses. A skill that both use stands there with its digest, so that other files are a difference. */
function catalogLines(catalog: AgentCatalog | undefined, others: AgentCatalog | undefined): [string, string][] {
  const bundles = new Map(others?.skills.map(({ id, digest }) => [id, digest]));
  return [
    ...(catalog?.skills ?? []).map(({ id, digest }): [string, string] => [
      `skills.${id}`,
      bundles.has(id) ? digest : "enabled",
    ]),
    ...(catalog?.servers ?? []).map(({ id }): [string, string] => [`mcpServers.${id}`, "enabled"]),
  ];
}

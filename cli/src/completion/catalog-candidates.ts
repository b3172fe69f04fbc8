import { EVERY_AGENT } from "../catalog/agent-target.ts";
import { listAllMcpServers, listAllSkills } from "../catalog/catalog-lists.ts";
import { transportText } from "../catalog/mcp-server-view.ts";
import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";
import { agentSettings, sharedSettings } from "../settings/setting.ts";
import type { Candidate } from "./candidate.ts";

/** `given`: the arguments that stand before. */
type Find = (gateway: Gateway, signal: AbortSignal, given: readonly string[]) => Promise<Candidate[]>;

const FINDERS: Readonly<Record<string, Find>> = { "mcp-server": servers, skill: skills, "skill-file": files };

const keys = (settings: readonly { key: string }[], end: string): Candidate[] =>
  settings.map(({ key }) => ({ value: `${key}${end}`, description: "" }));

const KEYS: Readonly<Record<string, readonly Candidate[]>> = {
  value: [...keys(agentSettings, "="), { value: "labels.", description: "labels.NAME=" }],
  "default-value": keys(sharedSettings, "="),
  "default-key": keys(sharedSettings, ""),
};

/** Every agent, in place of one. */
export const everyAgent: Candidate = { value: EVERY_AGENT, description: "every agent, also every future one" };

/** The values that a name of the catalogue or of settings stands for; none when the gateway is away; undefined for another name. */
export async function catalogValues(
  cli: Cli,
  name: string,
  given: readonly string[],
  patienceMs: number,
): Promise<readonly Candidate[] | undefined> {
  if (Object.hasOwn(KEYS, name)) return KEYS[name];
  const find = Object.hasOwn(FINDERS, name) ? FINDERS[name] : undefined;
  if (!find) return undefined;
  try {
    return await find(await cli.gateway(), AbortSignal.timeout(patienceMs), given);
  } catch {
    return [];
  }
}

async function servers(gateway: Gateway, signal: AbortSignal): Promise<Candidate[]> {
  const found = await listAllMcpServers(gateway, signal);
  return found.map((server) => ({ value: server.id, description: transportText(server) }));
}

async function skills(gateway: Gateway, signal: AbortSignal): Promise<Candidate[]> {
  const found = await listAllSkills(gateway, signal);
  return found.map(({ id, description }) => ({ value: id, description: description?.description ?? "" }));
}

async function files(gateway: Gateway, signal: AbortSignal, [skillId = ""]: readonly string[]): Promise<Candidate[]> {
  const { bundle } = await gateway.skills.getBundle({ skillId }, { signal });
  return (bundle?.files ?? []).map(({ path }) => ({ value: path, description: "" }));
}

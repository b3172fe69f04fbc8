import type { Caller } from "@openhermit/caller";
import { reaches, type OwnedAgent } from "./agent-owner.ts";
import { nameSome } from "./defaults.ts";
import { providerInUse } from "./provider.ts";

/**
 * Throws failed_precondition when a provider that is to go is still used, and names who uses it; agents out of the caller's
 * reach are not named.
 */
export function checkUnused(
  provider: string,
  { byDefaults, agents, caller }: { byDefaults: boolean; agents: readonly OwnedAgent[]; caller: Caller },
): void {
  const seen = agents.filter((agent) => reaches(caller, agent)).map(({ id }) => id);
  const users = [
    ...(byDefaults ? ["the defaults of the fleet"] : []),
    ...(seen.length > 0 ? [nameSome(seen)] : []),
    ...(seen.length < agents.length ? ["agents that you do not reach"] : []),
  ];
  if (users.length > 0) throw providerInUse(provider, users.join(" and "));
}

import { create } from "@bufbuild/protobuf";
import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { DefaultsSchema, ValueSource } from "@openhermit/protocol/fleet/v1/agent";
import { toDesiredMessage } from "./agent.ts";
import { identityLeaves } from "./agent-difference.ts";
import { readTeams } from "./agent-directory-store.ts";
import { readAgents } from "./agent-store.ts";
import { readDefaults } from "./defaults-store.ts";
import { effectiveSpec, isEmptySpec, specLeaves, valueSources } from "./effective-spec.ts";
import type { EffectiveValue, WantedFleet } from "./fleet-ports.ts";
import { readProviders } from "./provider-store.ts";

/** What a manifest of the fleet says, as far as it is in reach; four statements. */
export async function exportFleet(tx: Queryable, reach: Reach): Promise<WantedFleet> {
  const { spec } = await readDefaults(tx);
  const providers = await readProviders(tx);
  const inReach = [...(await readTeams(tx))].filter(([id, team]) => reach.has(id, team)).map(([id]) => id);
  const agents = await readAgents(tx, inReach);
  return {
    defaults: isEmptySpec(spec) ? undefined : create(DefaultsSchema, { spec }),
    providers: [...providers.values()].filter(({ custom }) => custom).map(({ provider }) => provider),
    agents: [...agents.values()].filter(({ id, team }) => reach.has(id, team)).map(toDesiredMessage),
  };
}

/** What agents run with, by the keys of a manifest, and where each value comes from; two statements. Unknown ones are left out. */
export async function effectiveValues(
  db: Queryable,
  agentIds: readonly string[],
): Promise<Map<string, ReadonlyMap<string, EffectiveValue>>> {
  const { spec: defaults } = await readDefaults(db);
  const agents = await readAgents(db, agentIds);
  return new Map(
    [...agents.values()].map((agent) => {
      const sources = valueSources(agent.spec, defaults);
      const own = [...identityLeaves(agent)].filter(([, value]) => value !== "");
      const values: [string, EffectiveValue][] = [
        ...own.map(([path, value]): [string, EffectiveValue] => [path, { value, source: ValueSource.AGENT }]),
        ...[...specLeaves(effectiveSpec(agent.spec, defaults))].map(([path, value]): [string, EffectiveValue] => [
          path,
          { value, source: sources.get(path) ?? ValueSource.BUILTIN },
        ]),
      ];
      return [agent.id, new Map(values)];
    }),
  );
}

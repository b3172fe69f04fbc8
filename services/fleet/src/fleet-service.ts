import { agentNotFound } from "@openhermit/caller";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { newUuidV7 } from "@openhermit/ids";
import type { MigrationSet, Subscription } from "@openhermit/postgres";
import { DesiredState, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService as FleetRpc } from "@openhermit/protocol/fleet/v1/fleet_service";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import { checkJoinable } from "./agent.ts";
import { createAgentDirectory, type AgentDirectory } from "./agent-directory.ts";
import { holdTeams } from "./agent-directory-store.ts";
import { viewOf } from "./agent-view.ts";
import { announceChanges } from "./announcement-store.ts";
import { createManifestPorts } from "./apply/manifest-ports.ts";
import { providerOf } from "./effective-spec.ts";
import { decodeChange, FLEET_CHANNEL } from "./fleet-channel.ts";
import { createFleetEvents } from "./fleet-events.ts";
import type { FleetService, FleetServiceOptions } from "./fleet-ports.ts";
import { createFleetRpcs } from "./fleet-rpcs.ts";
import { openLauncherHome } from "./launcher/launcher-home.ts";
import { createProcessLauncher } from "./launcher/process-launcher.ts";
import { createObservations } from "./observations.ts";
import { readRuns } from "./observed-agent-store.ts";
import { builtinProviders } from "./provider.ts";
import { storeBuiltins } from "./provider-store.ts";
import { endLease } from "./sidecar-claim-store.ts";
import { readRevisedAgents } from "./snapshot-source-store.ts";
import { createSidecarReconciler } from "./tasks/reconcile-sidecars.ts";
import { storeObservations } from "./tasks/store-observations.ts";
import { createAppliedWatch } from "./watch-applied.ts";

/** The tables of the fleet. */
export const fleetMigrations: MigrationSet = {
  schema: "fleet",
  directory: join(import.meta.dirname, "../migrations"),
};

const LEASE_MS = 20_000;
const PERIOD_MS = 5_000;

/** Makes the fleet: agents, providers, and the supervision of sidecars. Throws when the launcher's home can't be written. */
export function createFleetService(options: FleetServiceOptions): FleetService {
  const { database, log, ports, leaseMs = LEASE_MS } = options;
  const builtins = builtinProviders(options.ollamaHost);
  const listeners = new Set<(agentIds: readonly string[] | "all") => void>();
  const events = createFleetEvents((list) => ports.recordEvents(list), log);
  const home = options.launcher === undefined ? undefined : openLauncherHome(options.launcher.home);
  const gateway = { id: home?.id ?? newUuidV7(), instanceId: newUuidV7() };
  const tasks: { reconcile?: PeriodicTask; store?: PeriodicTask } = {};
  let directory: AgentDirectory | undefined;
  let subscription: Subscription | undefined;
  let builtinsStored = false;

  const observations = createObservations({ events, onChange: () => tasks.store?.poke() });
  const launcher =
    options.launcher === undefined || home === undefined
      ? undefined
      : createProcessLauncher({
          options: options.launcher,
          home,
          ports,
          events,
          log,
          observe: (agentId, observation) => observations.process(agentId, observation),
          onGone(agentId) {
            reconciler.gone(agentId);
            tasks.reconcile?.poke();
          },
        });
  const reconciler = createSidecarReconciler({
    database,
    log,
    gateway,
    leaseMs,
    observations,
    launcher,
    apiKeyEnvOf: (provider) => builtins.get(provider)?.apiKeyEnv ?? "",
    revokeSidecars: (sidecarIds) => ports.revokeSidecars(sidecarIds),
  });
  const storeOptions = { database, gateway, observations };
  const applied = createAppliedWatch({
    database,
    log,
    catalogRevisions: (agentIds) => ports.catalogRevisions(agentIds),
  });

  const agentsInMemory = (): AgentDirectory => (directory ??= createAgentDirectory({ database, log }));
  const emit = (agentIds: readonly string[] | "all"): void => {
    for (const listener of listeners) listener(agentIds);
  };

  async function reconcile(): Promise<void> {
    if (!builtinsStored) {
      const changed = await storeBuiltins(database, [...builtins.values()]);
      if (changed > 0) await announceChanges(database, [{ kind: "providers" }]);
      builtinsStored = true;
    }
    const wasRegistered = reconciler.isRegistered;
    await reconciler.run();
    if (!wasRegistered && reconciler.isRegistered) tasks.store?.poke();
  }

  function onMessage(payload: string): void {
    const change = decodeChange(payload);
    if (change === undefined) return;
    if (change.kind === "start") launcher?.startNow(change.agentId);
    else if (change.kind !== "providers") directory?.poke();
    if (change.kind === "providers" || change.kind === "defaults") emit("all");
    if (change.kind === "agent") emit([change.agentId]);
    tasks.reconcile?.poke();
  }

  function onSubscribed(): void {
    directory?.poke();
    tasks.reconcile?.poke();
    emit("all");
  }

  async function stopTasks(): Promise<void> {
    const { reconcile: reconcileTask, store } = tasks;
    delete tasks.reconcile;
    delete tasks.store;
    await Promise.all([reconcileTask?.stop(), store?.stop()]);
  }

  return {
    routes(router) {
      const killGraceMs = options.launcher?.times?.killGraceMs ?? 2_000;
      const drainGraceMs = options.launcher?.times?.drainGraceMs ?? 10_000;
      router.service(
        FleetRpc,
        createFleetRpcs({
          database,
          log,
          caller: options.caller,
          audit: options.audit,
          ports,
          builtins,
          applied,
          refresh: () => agentsInMemory().refresh(),
          stopDeadlineMs: drainGraceMs + killGraceMs + 5_000,
        }),
      );
    },

    // A reading that failed is repeated by the task itself.
    agentsRead: () =>
      agentsInMemory()
        .refresh()
        .catch(() => undefined),
    start() {
      agentsInMemory();
      subscription ??= database.listen(FLEET_CHANNEL, onMessage, onSubscribed);
      tasks.reconcile ??= createPeriodicTask({
        name: "reconcile-sidecars",
        periodMs: Math.min(PERIOD_MS, leaseMs / 4),
        run: reconcile,
        onError: (error) => log.debug({ err: error }, "sidecars not reconciled"),
      });
      tasks.store ??= createPeriodicTask({
        name: "store-observations",
        periodMs: PERIOD_MS,
        run: async () => {
          if (reconciler.isRegistered) await storeObservations(storeOptions);
        },
        onError: (error) => log.debug({ err: error }, "observations not stored"),
      });
    },

    async close() {
      listeners.clear();
      subscription?.close();
      await Promise.all([stopTasks(), directory?.stop(), applied.close()]);
      launcher?.letGoAll();
    },

    async stopAll(graceMs) {
      await stopTasks();
      await launcher?.endAll(graceMs);
      try {
        await storeObservations(storeOptions);
        await endLease(database, gateway);
      } catch (error) {
        log.debug({ err: error }, "lease not given up");
      }
    },

    agentForTurn(agentId) {
      const entry = agentsInMemory().get(agentId);
      if (entry === undefined) return { state: "unknown" };
      return { state: entry.desiredState === DesiredState.STOPPED ? "stopped" : "ready" };
    },

    knownAgentIds: () =>
      agentsInMemory()
        .all()
        .map(({ id }) => id),

    teamOfAgent: (agentId) => agentsInMemory().teamOf(agentId),
    ownedAgentIds: () => agentsInMemory().ownedIds(),

    async agents() {
      try {
        return (await readRuns(database, "all")).map((run) => viewOf(run, run.observation));
      } catch (error) {
        log.debug({ err: error }, "agents told from memory");
        return agentsInMemory()
          .all()
          .map((entry) => viewOf(entry, observations.of(entry.id)));
      }
    },

    async snapshotSources(agentIds) {
      const revised = await readRevisedAgents(database, agentIds);
      return revised.map(({ id, displayName, spec, provider, revision }) => {
        const name = providerOf(spec);
        return {
          agentId: id,
          displayName,
          spec,
          // One that exists nowhere is refused by the sidecar, which says so.
          provider: provider ?? builtins.get(name) ?? create(ProviderSchema, { name }),
          revision,
        };
      });
    },

    async mayJoinExternally(agentIds, reach) {
      const found = new Map((await readRuns(database, agentIds)).map((run) => [run.id, run]));
      for (const id of agentIds) {
        const agent = found.get(id);
        if (agent === undefined || !reach.has(id, agent.team)) throw agentNotFound(id);
        checkJoinable(agent);
      }
    },

    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },

    // What is observed is kept at once and stored soon: no stream waits for the database here.
    sidecarAttached: async (link) => observations.attached(link),
    sidecarDetached: async (link) => observations.detached(link),
    snapshotAnswered: async (answer) => observations.answered(answer),

    holdTeams,
    ...createManifestPorts({ database, ports, builtins, directory: agentsInMemory, log }),
  };
}

import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { agentNotFound, callerName, reachOf, type Caller, type RecordChanges } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Database } from "@openhermit/postgres";
import {
  AgentSchema,
  DefaultsSchema,
  DesiredState,
  Launcher,
  ProviderSchema,
  type Agent,
} from "@openhermit/protocol/fleet/v1/agent";
import type { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import type { Log } from "@openhermit/telemetry";
import { checkReach, reaches, type ChangeAuthor } from "./agent-owner.ts";
import { toAgentMessage, toDefaultsMessage } from "./agent-proto.ts";
import { addAgent, changeAgent, finishDelete, restartAgent, setDesiredState, stopForDelete } from "./change-agent.ts";
import { putDefaults } from "./change-defaults.ts";
import { deleteProvider, putProvider } from "./change-provider.ts";
import { readDefaults } from "./defaults-store.ts";
import type { FleetPorts } from "./fleet-ports.ts";
import { listObservedAgents, readObservedAgent } from "./observed-agent-store.ts";
import { desiredProvider, type Builtins } from "./provider.ts";
import { readProviders } from "./provider-store.ts";
import { isClaimed } from "./sidecar-claim-store.ts";
import type { AppliedWatch } from "./watch-applied.ts";

/** What the RPCs work on. */
export interface FleetRpcOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  audit: (context: HandlerContext) => RecordChanges;
  ports: FleetPorts;
  builtins: Builtins;
  applied: Pick<AppliedWatch, "follow">;
  /** Reads the agents into memory, so that what was changed here is known here at once. */
  refresh(): Promise<void>;
  /** How long a delete waits for the sidecar to be gone, in milliseconds. */
  stopDeadlineMs: number;
}

const AGENT_ID = /^[a-z][a-z0-9-]{0,62}$/;
const POLL_MS = 50;

/** The RPCs of the fleet, in the order of the proto. */
export function createFleetRpcs(options: FleetRpcOptions): ServiceImpl<typeof FleetService> {
  const { database, log, ports, builtins } = options;

  const authorOf = (context: HandlerContext): ChangeAuthor => ({
    caller: options.caller(context),
    record: options.audit(context),
    isTeam: (teamId) => ports.isTeam(teamId),
  });

  async function read(id: string, context: HandlerContext): Promise<Agent> {
    const [observed, revisions] = await Promise.all([readObservedAgent(database, id), ports.catalogRevisions([id])]);
    if (observed === undefined) throw agentNotFound(id);
    checkReach(options.caller(context), observed.agent);
    return toAgentMessage(observed, revisions.get(id) ?? 0n);
  }

  async function changed(agentId: string, message: string, context: HandlerContext): Promise<void> {
    log.info({ agent_id: agentId, caller: callerName(options.caller(context)) }, message);
    // The change is stored; memory follows by itself if the database goes away in this moment.
    await options.refresh().catch(() => undefined);
  }

  async function waitUntilStopped(id: string): Promise<void> {
    const end = performance.now() + options.stopDeadlineMs;
    while (await isClaimed(database, id)) {
      if (performance.now() > end) {
        // Its claim outlives the agent, so whoever holds it ends the sidecar.
        log.warn({ agent_id: id }, "agent deleted while its sidecar still stops");
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  return {
    async createAgent({ agent, requestId }, context) {
      const wanted = agent ?? create(AgentSchema);
      const { id, created } = await addAgent(database, wanted, requestId, builtins, authorOf(context));
      if (created) await changed(id, "agent created", context);
      return { agent: await read(id, context) };
    },

    async getAgent({ agentId }, context) {
      return { agent: await read(agentId, context) };
    },

    async listAgents({ pageSize, pageToken }, context) {
      const caller = options.caller(context);
      const reach = reachOf(caller);
      const size = pageSizeOf(pageSize);
      const [afterId = ""] = decodePageToken(pageToken, [AGENT_ID]) ?? [];
      const found = await listObservedAgents(database, afterId, size + 1, reach.all ? undefined : reach.ids());
      const revisions = await ports.catalogRevisions(found.map(({ agent }) => agent.id));
      const rows = found.map((observed) => {
        const { agent } = observed;
        // The rows may know of a move that this gateway has not heard of yet.
        const isSeen = reaches(caller, agent);
        return { id: agent.id, agents: isSeen ? [toAgentMessage(observed, revisions.get(agent.id) ?? 0n)] : [] };
      });
      const { page, nextPageToken } = cutPage(
        rows,
        size,
        ({ id }) => [id],
        ({ agents: [agent] }) => (agent === undefined ? 0 : toBinary(AgentSchema, agent).length),
      );
      return { agents: page.flatMap(({ agents }) => agents), nextPageToken };
    },

    async updateAgent({ agent, updateMask }, context) {
      const request = agent ?? create(AgentSchema);
      if (await changeAgent(database, request, updateMask, builtins, authorOf(context)))
        await changed(request.id, "agent changed", context);
      return { agent: await read(request.id, context) };
    },

    async deleteAgent({ agentId, etag }, context) {
      const author = authorOf(context);
      const stopping = await stopForDelete(database, agentId, etag, author);
      await waitUntilStopped(agentId);
      await finishDelete(database, agentId, stopping.etag, author, (tx, ids) => ports.forgetAgents(tx, ids));
      if (stopping.launcher === Launcher.PROCESS) {
        // The sidecar of a deleted agent must not come back with the key it had.
        await ports.revokeSidecars([agentId]).catch((error: unknown) => {
          log.warn({ agent_id: agentId, err: error }, "sidecar not revoked");
        });
      }
      await changed(agentId, "agent deleted", context);
      return {};
    },

    async startAgent({ agentId }, context) {
      if (await setDesiredState(database, agentId, DesiredState.RUNNING, authorOf(context)))
        await changed(agentId, "agent started", context);
      return { agent: await read(agentId, context) };
    },

    async stopAgent({ agentId }, context) {
      if (await setDesiredState(database, agentId, DesiredState.STOPPED, authorOf(context)))
        await changed(agentId, "agent stopped", context);
      return { agent: await read(agentId, context) };
    },

    async restartAgent({ agentId }, context) {
      await restartAgent(database, agentId, authorOf(context));
      await changed(agentId, "agent restarted", context);
      return { agent: await read(agentId, context) };
    },

    async putProvider({ provider: message }, context) {
      const provider = desiredProvider(message ?? create(ProviderSchema));
      const isNews = await putProvider(database, provider, builtins, authorOf(context));
      const by = callerName(options.caller(context));
      if (isNews) log.info({ provider: provider.name, caller: by }, "provider changed");
      return { provider: { ...provider, builtin: builtins.has(provider.name) } };
    },

    async deleteProvider({ providerName }, context) {
      await deleteProvider(database, providerName, builtins, authorOf(context));
      log.info({ provider: providerName, caller: callerName(options.caller(context)) }, "provider removed");
      return {};
    },

    async getDefaults() {
      return { defaults: toDefaultsMessage(await readDefaults(database)) };
    },

    async putDefaults({ defaults: message }, context) {
      const isNews = await putDefaults(database, message ?? create(DefaultsSchema), builtins, authorOf(context));
      if (isNews) {
        log.info({ caller: callerName(options.caller(context)) }, "defaults changed");
        await options.refresh().catch(() => undefined);
      }
      return { defaults: toDefaultsMessage(await readDefaults(database)) };
    },

    watchApplied: ({ agentIds }, context) =>
      options.applied.follow(agentIds, reachOf(options.caller(context)), context.signal),

    async listProviders() {
      const stored = [...(await readProviders(database)).values()].map(({ provider }) => provider);
      const all = new Map([...builtins.values(), ...stored].map((provider) => [provider.name, provider]));
      const ordered = [...all.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return { providers: ordered.map((provider) => ({ ...provider, builtin: builtins.has(provider.name) })) };
    },
  };
}

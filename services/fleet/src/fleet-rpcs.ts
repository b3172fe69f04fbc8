import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { invalidArgument } from "@openhermit/errors";
import type { Database } from "@openhermit/postgres";
import { AgentSchema, DesiredState, Launcher, ProviderSchema, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import type { Log } from "@openhermit/telemetry";
import { agentNotFound } from "./agent.ts";
import { toAgentMessage } from "./agent-proto.ts";
import { listObservedAgents, readObservedAgent } from "./agent-store.ts";
import {
  addAgent,
  announceChanges,
  changeAgent,
  finishDelete,
  restartAgent,
  setDesiredState,
  stopForDelete,
} from "./change-agent.ts";
import type { Caller, FleetPorts } from "./fleet-ports.ts";
import { desiredProvider, type Builtins } from "./provider.ts";
import { readProviders, writeProvider } from "./provider-store.ts";
import { isClaimed } from "./sidecar-claim-store.ts";

/** What the RPCs work on. */
export interface FleetRpcOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  ports: FleetPorts;
  builtins: Builtins;
  /** Reads the agents into memory, so that what was changed here is known here at once. */
  refresh(): Promise<void>;
  /** How long a delete waits for the sidecar to be gone, in milliseconds. */
  stopDeadlineMs: number;
}

const DEFAULT_PAGE_SIZE = 100;
const POLL_MS = 50;

/** The RPCs of the fleet, in the order of the proto. */
export function createFleetRpcs(options: FleetRpcOptions): ServiceImpl<typeof FleetService> {
  const { database, log, ports, builtins } = options;

  async function read(id: string): Promise<Agent> {
    const [observed, revisions] = await Promise.all([readObservedAgent(database, id), ports.catalogRevisions([id])]);
    if (observed === undefined) throw agentNotFound(id);
    return toAgentMessage(observed, revisions.get(id) ?? 0n);
  }

  async function changed(agentId: string, message: string, context: HandlerContext): Promise<void> {
    const who = options.caller(context);
    log.info({ agent_id: agentId, caller: who.kind === "principal" ? who.id : who.kind }, message);
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
      const { id, created } = await addAgent(database, agent ?? create(AgentSchema), requestId, builtins);
      if (created) await changed(id, "agent created", context);
      return { agent: await read(id) };
    },

    async getAgent({ agentId }) {
      return { agent: await read(agentId) };
    },

    async listAgents({ pageSize, pageToken }) {
      const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
      const found = await listObservedAgents(database, decodePageToken(pageToken), limit + 1);
      const page = found.slice(0, limit);
      const revisions = await ports.catalogRevisions(page.map(({ agent }) => agent.id));
      const last = page.at(-1)?.agent.id;
      return {
        agents: page.map((observed) => toAgentMessage(observed, revisions.get(observed.agent.id) ?? 0n)),
        nextPageToken: found.length > limit && last !== undefined ? encodePageToken(last) : "",
      };
    },

    async updateAgent({ agent, updateMask }, context) {
      const request = agent ?? create(AgentSchema);
      if (await changeAgent(database, request, updateMask, builtins))
        await changed(request.id, "agent changed", context);
      return { agent: await read(request.id) };
    },

    async deleteAgent({ agentId, etag }, context) {
      const stopping = await stopForDelete(database, agentId, etag);
      await waitUntilStopped(agentId);
      await finishDelete(database, agentId, stopping.etag);
      if (stopping.agent.spec.launcher === Launcher.PROCESS) {
        // The sidecar of a deleted agent must not come back with the key it had.
        await ports.revokeSidecar(agentId).catch((error: unknown) => {
          log.warn({ agent_id: agentId, err: error }, "sidecar not revoked");
        });
      }
      await ports.forgetAgent(agentId);
      await changed(agentId, "agent deleted", context);
      return {};
    },

    async startAgent({ agentId }, context) {
      if (await setDesiredState(database, agentId, DesiredState.RUNNING))
        await changed(agentId, "agent started", context);
      return { agent: await read(agentId) };
    },

    async stopAgent({ agentId }, context) {
      if (await setDesiredState(database, agentId, DesiredState.STOPPED))
        await changed(agentId, "agent stopped", context);
      return { agent: await read(agentId) };
    },

    async restartAgent({ agentId }, context) {
      await restartAgent(database, agentId);
      await changed(agentId, "agent restarted", context);
      return { agent: await read(agentId) };
    },

    async putProvider({ provider: message }, context) {
      const provider = desiredProvider(message ?? create(ProviderSchema));
      const isNews = await database.transaction(async (tx) => {
        const written = await writeProvider(tx, provider);
        if (written) await announceChanges(tx, [{ kind: "providers" }]);
        return written;
      });
      const who = options.caller(context);
      const by = who.kind === "principal" ? who.id : who.kind;
      if (isNews) log.info({ provider: provider.name, caller: by }, "provider changed");
      return { provider: { ...provider, builtin: builtins.has(provider.name) } };
    },

    async listProviders() {
      const all = new Map([...builtins, ...(await readProviders(database))]);
      const ordered = [...all.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return { providers: ordered.map((provider) => ({ ...provider, builtin: builtins.has(provider.name) })) };
    },
  };
}

function encodePageToken(id: string): string {
  return Buffer.from(`after ${id}`).toString("base64url");
}

function decodePageToken(token: string): string {
  if (token === "") return "";
  const id = /^after ([a-z0-9-]{1,63})$/.exec(Buffer.from(token, "base64url").toString())?.[1];
  if (id !== undefined) return id;
  throw invalidArgument("PAGE_TOKEN_INVALID", "the page token is not one that this method returned", {
    hint: "Send next_page_token of the page before, or nothing for the first page.",
  });
}

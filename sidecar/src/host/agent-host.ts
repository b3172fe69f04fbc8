import { create } from "@bufbuild/protobuf";
import { toError } from "@openhermit/errors";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import {
  AgentGenerationSchema,
  AppliedSchema,
  LedgerTurnSchema,
  RejectedSchema,
  type AgentGeneration,
  type Drain,
  type LedgerTurn,
  type Welcome,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import type { Log } from "@openhermit/telemetry";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { GatewayMessage, LinkMessage } from "../link/link.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { AgentRuntime } from "../runtime/agent-runtime.ts";
import { createHostedAgent, type HostedAgent } from "./hosted-agent.ts";
import { alignWithGateway, recoverTurns } from "./recovery.ts";
import { createTranscriptFetch } from "./transcript-fetch.ts";
import { createTurnHost, type TurnHost } from "./turn-host.ts";

/** The agents of this sidecar and their turns. */
export interface AgentHost {
  /** The turns. */
  readonly turns: TurnHost;
  /** Settles what the last process left, and applies the snapshots of the ledger: no gateway is needed for that. */
  start(): void;
  /** What Hello says of the ledger. Throws what a ledger transaction throws. */
  hello(): { agents: AgentGeneration[]; turns: LedgerTurn[] };
  /** The gateway has let the sidecar in: the ledger is brought in line with it. */
  welcomed(welcome: Welcome): void;
  /** Something the gateway said. */
  received(message: GatewayMessage): void;
  /** The components of each agent's runtime. */
  health(): { agentId: string; components: ComponentHealth[] }[];
  /** Ends all runtimes. */
  close(): Promise<void>;
}

/** What a host needs. */
export interface AgentHostOptions {
  ledger: Ledger;
  outbox: Outbox;
  send: (message: LinkMessage) => boolean;
  createRuntime: (agentId: string) => Promise<AgentRuntime>;
  /** The gateway asked the sidecar to finish. */
  onDrain: (drain: Drain) => void;
  /** The agents, or what they report, have changed. */
  onChanged: () => void;
  /** The snapshots in force have changed; called with the digests of all skills that they name. Also at the start. */
  onSkillsNamed: (digests: ReadonlySet<string>) => void;
  log: Log;
}

const MAX_REASON = 2000;

/** Makes a host without agents. */
export function createAgentHost(options: AgentHostOptions): AgentHost {
  const { ledger, outbox, send, createRuntime, onDrain, onChanged, onSkillsNamed, log } = options;
  const agents = new Map<string, HostedAgent>();
  const stored = new Map<string, bigint>();
  /** The digests of the skills of each agent, by what is in force or, before that, in the ledger. */
  const skills = new Map<string, readonly string[]>();
  /** The agents of which this attach knows what is in force. */
  const known = new Set<string>();
  const fetch = createTranscriptFetch(ledger, send);
  const turns = createTurnHost({ ledger, outbox, fetch, send, log, agent: (agentId) => agents.get(agentId) });
  let aligned = false;
  let recovered = false;

  const recover = (): void => {
    if (recovered) return;
    const { interrupted, abandoned } = recoverTurns(ledger);
    recovered = true;
    if (interrupted.length + abandoned.length === 0) return;
    log.warn({ interrupted, abandoned }, "turns of the last process settled");
  };

  const sayApplied = ({ agentId, generation }: Snapshot): void => {
    if (send({ case: "applied", value: create(AppliedSchema, { agentId, generation }) })) known.add(agentId);
  };
  const sayNamed = (): void => onSkillsNamed(new Set([...skills.values()].flat()));
  const applied = (snapshot: Snapshot): void => {
    const { agentId, generation } = snapshot;
    if (!agents.has(agentId)) return;
    skills.set(agentId, digestsOf(snapshot));
    if (stored.get(agentId) !== generation) {
      try {
        ledger.transaction(() => ledger.snapshots.put(snapshot));
        stored.set(agentId, generation);
      } catch (error) {
        // It is in force all the same; only a start without the gateway would use an older one.
        log.error({ error, agent_id: agentId }, "snapshot not stored");
      }
      log.info({ agent_id: agentId, generation: generation.toString() }, "snapshot applied");
      sayNamed();
    }
    sayApplied(snapshot);
    onChanged();
  };
  const rejected = ({ agentId, generation }: Snapshot, error: Error): void => {
    log.warn({ agent_id: agentId, generation: generation.toString(), error }, "snapshot rejected");
    // After an attach the gateway does not know yet that the agent runs, with the one before.
    const inForce = agents.get(agentId)?.snapshot;
    if (inForce !== undefined && !known.has(agentId)) sayApplied(inForce);
    const reason = error.message.slice(0, MAX_REASON);
    send({ case: "rejected", value: create(RejectedSchema, { agentId, generation, reason }) });
    onChanged();
  };
  const take = (snapshot: Snapshot): void => {
    const { agentId } = snapshot;
    let agent = agents.get(agentId);
    if (agent === undefined) {
      agent = createHostedAgent({
        agentId,
        createRuntime: () => createRuntime(agentId),
        onApplied: applied,
        onRejected: rejected,
      });
      agents.set(agentId, agent);
    }
    agent.take(snapshot);
  };
  const remove = (agentId: string): void => {
    const agent = agents.get(agentId);
    if (agent === undefined) return;
    agents.delete(agentId);
    stored.delete(agentId);
    skills.delete(agentId);
    turns.cancelAgent(agentId);
    log.info({ agent_id: agentId }, "agent removed");
    try {
      ledger.transaction(() => ledger.snapshots.remove(agentId));
    } catch (error) {
      log.error({ error, agent_id: agentId }, "snapshot not removed");
    }
    agent
      .close()
      .then(sayNamed)
      .catch((error: unknown) => log.error({ error, agent_id: agentId }, "runtime not closed"));
    onChanged();
  };

  return {
    turns,
    start() {
      try {
        recover();
      } catch (error) {
        log.error({ error }, "turns of the last process not settled");
      }
      const snapshots = ledger.snapshots.list();
      for (const snapshot of snapshots) skills.set(snapshot.agentId, digestsOf(snapshot));
      sayNamed();
      for (const snapshot of snapshots) {
        stored.set(snapshot.agentId, snapshot.generation);
        take(snapshot);
      }
    },
    hello() {
      // A turn that nobody runs must not be named as one that is.
      recover();
      return {
        agents: [...stored].map(([agentId, generation]) => create(AgentGenerationSchema, { agentId, generation })),
        turns: ledger.turns.listUnsettled(ledger.outbox.acknowledged).map((turn) => create(LedgerTurnSchema, turn)),
      };
    },
    welcomed(welcome) {
      known.clear();
      turns.disown(new Set(welcome.deadTurnIds));
      alignWithGateway(ledger, welcome, !aligned);
      aligned = true;
      outbox.forget();
      fetch.askAgain();
    },
    received(message) {
      switch (message.case) {
        case "snapshot":
          return take(message.value);
        case "agentRemoved":
          return remove(message.value.agentId);
        case "runTurn":
          return turns.offer(message.value);
        case "cancelTurn":
          return turns.cancel(message.value.turnId, message.value.reason);
        case "transcriptPage":
          return fetch.page(message.value);
        case "drain":
          return onDrain(message.value);
        case "welcome":
        case "ping":
        case undefined:
          return undefined;
      }
    },
    health: () => [...agents.values()].map((agent) => ({ agentId: agent.agentId, components: agent.health() })),
    async close() {
      const closing = await Promise.allSettled([...agents.values()].map((agent) => agent.close()));
      for (const result of closing) {
        if (result.status === "rejected") log.error({ error: toError(result.reason) }, "runtime not closed");
      }
    },
  };
}

function digestsOf(snapshot: Snapshot): readonly string[] {
  return snapshot.skills.map(({ digest }) => digest);
}

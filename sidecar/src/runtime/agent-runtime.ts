import { create, equals } from "@bufbuild/protobuf";
import { invalidArgument } from "@openhermit/errors";
import { ProviderSchema, type AgentSpec, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { TurnErrorSchema, TurnState, UsageSchema } from "@openhermit/protocol/sessions/v1/session";
import type { Log, Telemetry } from "@openhermit/telemetry";
import { createMcpServers } from "../mcp/mcp-servers.ts";
import type { Model } from "../model/model.ts";
import { openModel } from "../model/open-model.ts";
import { runTurn } from "../runner/run-turn.ts";
import { withTool } from "../tools/tool.ts";
import type { BundleCache } from "../skills/bundle-cache.ts";
import { createModelHealth, type ModelHealth } from "./model-health.ts";
import { createRuntimeSkills } from "./runtime-skills.ts";
import type { RuntimeTurn } from "./runtime-turn.ts";
import type { TurnJournal, TurnOutcome } from "./turn-journal.ts";

export type { RuntimeTurn } from "./runtime-turn.ts";

/** How long the start of a turn waits for MCP servers that are connecting for the first time. */
const MCP_WAIT_MS = 3000;

/** What an agent's runtime needs. */
export interface AgentRuntimeOptions {
  agentId: string;
  /** The folder that the agent's children start in. It exists. */
  workspace: string;
  log: Log;
  telemetry: Telemetry;
  /** The environment that API keys are read from, and PATH, HOME, LANG and TMPDIR of children. */
  env: Readonly<Record<string, string | undefined>>;
  /** The marker that every child process carries; no spaces. */
  owner: string;
  /** The bundles of the sidecar; asked for with the agent's first skill. */
  bundles: () => Promise<BundleCache>;
  /** The version told to MCP servers. Default "0". */
  version?: string;
  /** Called after a component's health has changed; read it with `health()`. */
  onHealthChanged: () => void;
}

/** One agent on its sidecar: its model, its tools, its turns. */
export interface AgentRuntime {
  /**
   * Takes a snapshot; replaces only what changed. Waits for the files of its skills and not for MCP servers. Running turns keep what they
   * started with. Rejects with a MeshError when the snapshot can't be applied, and with the signal's reason after an abort; the one before
   * stays. Calls come one after the other.
   */
  apply(snapshot: Snapshot, signal?: AbortSignal): Promise<void>;
  /** Runs a turn to its end. Never rejects. An abort closes the model's HTTP request at once. */
  runTurn(turn: RuntimeTurn, journal: TurnJournal, signal: AbortSignal): Promise<TurnOutcome>;
  /** The components: `model`, `mcp:<server>` for each server, and `skills`. Empty before the first snapshot. */
  health(): ComponentHealth[];
  /** Ends every connection and child process. Running turns are to be aborted before. */
  close(): Promise<void>;
}

interface Applied {
  spec: AgentSpec;
  provider: Provider;
  model: Model;
  modelHealth: ModelHealth;
}

/** Makes an agent's runtime; it does nothing before its first snapshot. */
export function createAgentRuntime(options: AgentRuntimeOptions): AgentRuntime {
  const { agentId, workspace, telemetry, env, owner, version = "0", onHealthChanged } = options;
  const log = options.log.child({ agent_id: agentId });
  const skills = createRuntimeSkills({ agentId, workspace, bundles: options.bundles, onHealthChanged });
  const servers = createMcpServers({ workspace, env, owner, log, version, onHealthChanged });
  let applied: Applied | undefined;

  const open = (spec: AgentSpec, provider: Provider): Applied => {
    if (applied?.spec.model === spec.model && equals(ProviderSchema, applied.provider, provider)) {
      return { ...applied, spec };
    }
    const model = openModel(provider, modelNameOf(spec.model, provider), env);
    return { spec, provider, model, modelHealth: createModelHealth(model.problem, onHealthChanged) };
  };

  return {
    async apply(snapshot, signal = new AbortController().signal) {
      const { spec, provider } = snapshot;
      if (snapshot.agentId !== agentId || spec === undefined || provider === undefined) {
        throw invalidArgument("SNAPSHOT_INVALID", `the snapshot is not a complete one of agent "${agentId}"`);
      }
      const next = open(spec, provider);
      await skills.apply(snapshot.skills, signal);
      const modelChanged = next.model !== applied?.model;
      applied = next;
      servers.apply(snapshot.mcpServers);
      if (modelChanged) onHealthChanged();
    },
    async runTurn(turn, journal, signal) {
      if (applied === undefined) return notConfigured(agentId);
      const { spec, model, modelHealth } = applied;
      const { current } = skills;
      const letGo = current?.hold();
      const setup = {
        agentId,
        spec,
        instructions: [spec.instructions, current?.prompt ?? ""].filter((text) => text !== "").join("\n\n"),
        model,
        telemetry,
        log,
        onModelCalled: modelHealth.called,
        async toolset(stop: AbortSignal) {
          await servers.settle(MCP_WAIT_MS, stop);
          return current === undefined ? servers.toolset : withTool(current.tool, servers.toolset);
        },
      };
      return runTurn(setup, turn, journal, signal).finally(letGo);
    },
    health() {
      const model = applied === undefined ? [] : [applied.modelHealth.component];
      return [...servers.health(), ...model, ...skills.health()];
    },
    async close() {
      skills.close();
      await servers.close();
    },
  };
}

function modelNameOf(model: string, provider: Provider): string {
  const slash = model.indexOf("/");
  if (slash < 1 || model.slice(0, slash) !== provider.name) {
    throw invalidArgument("SNAPSHOT_INVALID", `the model "${model}" is not one of the provider "${provider.name}"`);
  }
  return model.slice(slash + 1);
}

function notConfigured(agentId: string): TurnOutcome {
  return {
    state: TurnState.FAILED,
    answer: "",
    usage: create(UsageSchema),
    error: create(TurnErrorSchema, {
      reason: "AGENT_NOT_CONFIGURED",
      message: `the sidecar has no snapshot of agent "${agentId}" yet`,
      retryable: true,
    }),
  };
}

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ProviderKind, ProviderSchema, type AgentSpecSchema } from "@openhermit/protocol/fleet/v1/agent";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SnapshotSchema, SnapshotSkillSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { createTelemetry } from "@openhermit/telemetry";
import { temporaryDirectory, testLog, type TestLog } from "@openhermit/testing";
import { createAgentRuntime, type AgentRuntime, type AgentRuntimeOptions } from "../agent-runtime.ts";
import type { RuntimeTurn } from "../runtime-turn.ts";

/** A runtime with all it needs. */
export interface TestRuntime {
  readonly runtime: AgentRuntime;
  readonly log: TestLog;
  readonly workspace: string;
  /** The marker of all its children. */
  readonly owner: string;
  close(): Promise<void>;
}

/** Starts a runtime of the agent `one` in a folder of its own. */
export async function testRuntime(
  env: Record<string, string> = {},
  bundles: AgentRuntimeOptions["bundles"] = () => Promise.reject(new Error("this test has no skills")),
): Promise<TestRuntime> {
  const directory = await temporaryDirectory();
  const log = testLog();
  const owner = `test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const runtime = createAgentRuntime({
    agentId: "one",
    workspace: directory.path,
    log,
    telemetry: await createTelemetry({ service: "test", version: "0", env: {} }),
    env: { PATH: process.env["PATH"], HOME: directory.path, ...env },
    owner,
    bundles,
    onHealthChanged: () => undefined,
  });
  return {
    runtime,
    log,
    workspace: directory.path,
    owner,
    async close() {
      await runtime.close();
      await directory.remove();
    },
  };
}

/** A snapshot of the agent `one`. Without a base URL its model is `offline/echo`, else one of an OpenAI-compatible provider. */
export function snapshotOf(
  options: {
    baseUrl?: string;
    kind?: ProviderKind;
    spec?: MessageInitShape<typeof AgentSpecSchema>;
    servers?: MessageInitShape<typeof McpServerSchema>[];
    skills?: MessageInitShape<typeof SnapshotSkillSchema>[];
    apiKeyEnv?: string;
  } = {},
): Snapshot {
  const { baseUrl, spec = {}, servers = [], skills = [], apiKeyEnv = "" } = options;
  const offline = baseUrl === undefined;
  const kind = offline ? ProviderKind.OFFLINE : (options.kind ?? ProviderKind.OPENAI_COMPATIBLE);
  const name = offline ? "offline" : "scripted";
  return create(SnapshotSchema, {
    agentId: "one",
    generation: 1n,
    spec: { model: offline ? "offline/echo" : "scripted/test-model", instructions: "Be brief.", ...spec },
    provider: create(ProviderSchema, { name, kind, baseUrl: baseUrl ?? "", apiKeyEnv }),
    mcpServers: servers.map((server) => create(McpServerSchema, server)),
    skills: skills.map((skill) => create(SnapshotSkillSchema, skill)),
  });
}

/** A turn of the session `s`. */
export function turnOf(turnId = "t1"): RuntimeTurn {
  return { turnId, attempt: 1, sessionId: "s", userId: "operator", channel: "test", message: "", traceparent: "" };
}

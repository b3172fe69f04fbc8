import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import {
  AgentSchema,
  Launcher,
  ProviderKind,
  ProviderSchema,
  type Agent,
  type AgentSpecSchema,
  type Provider,
} from "@openhermit/protocol/fleet/v1/agent";
import { resolvePath } from "./base-directory.ts";
import type {
  AgentSource,
  BehaviourSource,
  ManifestSource,
  McpServerSource,
  ProviderSource,
} from "./manifest-schema.ts";
import type { CheckRules } from "./message-rules.ts";
import { didYouMean } from "./nearest-name.ts";
import type { ProblemList } from "./problem-list.ts";

/** What a manifest asks for, as messages, each in the manifest's order. */
export interface CompiledManifest {
  providers: Provider[];
  agents: Agent[];
  mcpServers: McpServer[];
}

/** What a manifest may refer to without defining it. */
export interface KnownNames {
  providerNames: readonly string[];
  /** Those in reach of the caller: the others are told as if they did not exist. */
  agentIds: readonly string[];
  isTeam(teamId: string): boolean;
}

/** What compiling needs besides the manifest. */
export interface CompileContext {
  /** The absolute folder that relative paths refer to; empty refuses them. */
  baseDirectory: string;
  problems: ProblemList;
  checkRules: CheckRules;
}

const MODEL = /^([a-z0-9][a-z0-9_-]*)\/\S+$/;
const TEAM_ID = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const VARIABLE = /\$\{[^}]*\}/;
const PROVIDER_KINDS = {
  anthropic: ProviderKind.ANTHROPIC,
  openai: ProviderKind.OPENAI,
  google: ProviderKind.GOOGLE,
  "openai-compatible": ProviderKind.OPENAI_COMPATIBLE,
  offline: ProviderKind.OFFLINE,
} as const;
const LAUNCHERS = { process: Launcher.PROCESS, external: Launcher.EXTERNAL } as const;

/**
 * Turns a manifest into messages: fills agents from the defaults, resolves relative paths, checks what refers to
 * what and the rules of the messages. Adds every problem it finds; the result counts only when there is none.
 */
export function compileManifest(source: ManifestSource, known: KnownNames, context: CompileContext): CompiledManifest {
  const { problems } = context;
  const providerNames = new Set([...known.providerNames, ...(source.providers?.keys() ?? [])]);
  const agentIds = new Set([...known.agentIds, ...(source.agents?.keys() ?? [])]);
  const defaults = source.defaults ?? {};
  if (defaults.model !== undefined) checkModel(defaults.model, ["defaults", "model"], providerNames, problems);
  checkTeam(defaults.team, ["defaults", "team"], known, problems);

  const providers = [...(source.providers ?? [])].map(([name, provider]) => compileProvider(name, provider, context));
  const agents = [...(source.agents ?? [])].map(([id, agent]) => {
    if (agent.model !== undefined) checkModel(agent.model, ["agents", id, "model"], providerNames, problems);
    checkTeam(agent.team, ["agents", id, "team"], known, problems);
    return compileAgent(id, agent, defaults, context);
  });
  const mcpServers = [...(source.mcpServers ?? [])].map(([id, server]) => {
    checkAssignment(id, server, agentIds, problems);
    return compileMcpServer(id, server, context);
  });
  return { providers, agents, mcpServers };
}

function checkModel(model: string, path: string[], providers: ReadonlySet<string>, problems: ProblemList): void {
  const provider = MODEL.exec(model)?.[1];
  if (provider === undefined || model.length > 200) {
    const hint = "for example offline/echo or anthropic/claude-sonnet-4-5";
    problems.add(path, `"${model.slice(0, 80)}" is not a model: write provider/model`, hint);
  } else if (!providers.has(provider)) {
    const hint = didYouMean(
      provider,
      providers,
      `known are ${[...providers].toSorted().join(", ")}; others go in providers:`,
    );
    problems.add(path, `provider "${provider}" is not known`, hint);
  }
}

function checkTeam(team: string | undefined, path: string[], { isTeam }: KnownNames, problems: ProblemList): void {
  if (team === "") {
    problems.add(path, "expected a team, found nothing", "leave the key out to let each agent stay in its team");
  } else if (team !== undefined && !TEAM_ID.test(team)) {
    const rule = "lower-case letters, digits and dashes, at most 63, starting with a letter";
    problems.add(path, `"${team.slice(0, 80)}" can't be a team's id: ${rule}`);
  } else if (team !== undefined && !isTeam(team)) {
    problems.add(path, `team "${team}" does not exist`, "create it first, or mend its name");
  }
}

function compileProvider(name: string, source: ProviderSource, { problems, checkRules }: CompileContext): Provider {
  const path = ["providers", name];
  if (source.kind === undefined && !problems.touches([...path, "kind"])) {
    problems.add(path, `provider "${name}" has no kind`, `add kind: ${Object.keys(PROVIDER_KINDS).join(" | ")}`, "key");
  }
  if (source.baseUrl !== undefined) checkUrl(source.baseUrl, [...path, "baseUrl"], problems);
  if (source.kind === "openai-compatible" && source.baseUrl === undefined) {
    problems.add(path, `provider "${name}" has no baseUrl`, "an openai-compatible provider needs its URL", "key");
  }
  if (source.apiKeyEnv !== undefined && !/^[A-Z][A-Z0-9_]{0,99}(KEY|TOKEN)$/.test(source.apiKeyEnv)) {
    const hint = "capitals, digits and _, ending in KEY or TOKEN; the key itself never stands in a manifest";
    problems.add([...path, "apiKeyEnv"], "not the name of an environment variable that holds a key", hint);
  }
  const message = create(ProviderSchema, {
    name,
    kind: source.kind === undefined ? ProviderKind.UNSPECIFIED : PROVIDER_KINDS[source.kind],
    baseUrl: source.baseUrl ?? "",
    apiKeyEnv: source.apiKeyEnv ?? "",
  });
  checkRules(ProviderSchema, message, path, problems);
  return message;
}

/** What the agent does not set, down to single parameters and limits, comes from the defaults. */
function compileSpec(agent: BehaviourSource, defaults: BehaviourSource): MessageInitShape<typeof AgentSpecSchema> {
  const parameters = { ...defaults.modelParameters, ...agent.modelParameters };
  const { timeout, ...limits } = { ...defaults.turnLimits, ...agent.turnLimits };
  const hasLimits = timeout !== undefined || Object.keys(limits).length > 0;
  return {
    model: agent.model ?? defaults.model ?? "",
    instructions: agent.instructions ?? defaults.instructions ?? "",
    launcher: LAUNCHERS[agent.launcher ?? defaults.launcher ?? "process"],
    ...(Object.keys(parameters).length > 0 && { modelParameters: parameters }),
    ...(hasLimits && {
      turnLimits: { ...limits, ...(timeout !== undefined && { timeout: durationFromMs(timeout) }) },
    }),
  };
}

function compileAgent(id: string, source: AgentSource, defaults: BehaviourSource, context: CompileContext): Agent {
  const { problems, checkRules } = context;
  const path = ["agents", id];
  const hasModel = source.model !== undefined || defaults.model !== undefined;
  if (!hasModel && !problems.touches([...path, "model"]) && !problems.touches(["defaults", "model"])) {
    problems.add(path, `agent "${id}" has no model`, "set its model, or defaults.model for all agents", "key");
  }
  const message = create(AgentSchema, {
    id,
    displayName: source.displayName ?? id,
    labels: Object.fromEntries(source.labels ?? []),
    spec: compileSpec(source, defaults),
    team: source.team ?? defaults.team ?? "",
  });
  checkRules(AgentSchema, message, path, problems, (field) => {
    // A bad default is told once, where it stands, and not again for each agent that takes it.
    const key = field[0];
    return typeof key === "string" && Object.hasOwn(source, key) ? [...path, ...field] : ["defaults", ...field];
  });
  return message;
}

function checkAssignment(
  id: string,
  source: McpServerSource,
  agentIds: ReadonlySet<string>,
  problems: ProblemList,
): void {
  const path = ["mcpServers", id];
  if (source.agents === undefined) {
    if (problems.touches([...path, "agents"])) return;
    problems.add(
      path,
      `MCP server "${id}" does not say who uses it`,
      'add agents: "*" for all agents, or a list',
      "key",
    );
    return;
  }
  for (const [index, agent] of source.agents.entries()) {
    if (agent === "*" || agentIds.has(agent)) continue;
    const hint = didYouMean(agent, agentIds, "add it under agents:, or remove it here");
    problems.add([...path, "agents", index], `agent "${agent.slice(0, 80)}" does not exist`, hint);
  }
}

function compileMcpServer(id: string, source: McpServerSource, context: CompileContext): McpServer {
  const { baseDirectory, problems, checkRules } = context;
  const path = ["mcpServers", id];
  const { command, url } = source;
  const given = command !== undefined || problems.touches([...path, "command"]) || problems.touches([...path, "url"]);
  if (command !== undefined && url !== undefined) {
    problems.add([...path, "url"], `MCP server "${id}" has both command and url`, "keep one of the two", "key");
  } else if (!given && url === undefined) {
    const hint = "add command: for a child process, or url: for a streamable HTTP endpoint";
    problems.add(path, `MCP server "${id}" has neither command nor url`, hint, "key");
  }
  const strangers = url === undefined ? (["headers"] as const) : (["args", "env"] as const);
  for (const key of strangers) {
    if (source[key] !== undefined && (command === undefined) !== (url === undefined)) {
      problems.add(
        [...path, key],
        `${key} has no use with ${url === undefined ? "command" : "url"}`,
        "remove it",
        "key",
      );
    }
  }
  if (url !== undefined) checkUrl(url, [...path, "url"], problems);
  checkVariables(source.env, [...path, "env"], problems);
  checkVariables(source.headers, [...path, "headers"], problems);

  const resolve = (value: string, ...at: (string | number)[]): string =>
    resolvePath(value, baseDirectory, [...path, ...at], problems);
  const message = create(McpServerSchema, {
    id,
    agents: source.agents ?? [],
    ...(source.connectTimeout !== undefined && { connectTimeout: durationFromMs(source.connectTimeout) }),
    ...(source.callTimeout !== undefined && { callTimeout: durationFromMs(source.callTimeout) }),
    transport:
      url !== undefined
        ? { case: "http", value: { url, headers: Object.fromEntries(source.headers ?? []) } }
        : {
            case: "stdio",
            value: {
              command: resolve(command ?? "", "command"),
              args: (source.args ?? []).map((argument, index) => resolve(argument, "args", index)),
              env: Object.fromEntries(source.env ?? []),
            },
          },
  });
  if (given || url !== undefined) checkRules(McpServerSchema, message, path, problems);
  return message;
}

function checkVariables(values: ReadonlyMap<string, string> | undefined, path: string[], problems: ProblemList): void {
  for (const [name, value] of values ?? []) {
    const variable = VARIABLE.exec(value)?.[0];
    if (variable === undefined) continue;
    problems.add([...path, name], `${variable.slice(0, 80)} would be passed on as it stands`, "write the value itself");
  }
}

function checkUrl(url: string, path: string[], problems: ProblemList): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "http:" || parsed?.protocol === "https:") return;
  problems.add(path, "not an http or https URL", "for example https://models.example.com/v1");
}

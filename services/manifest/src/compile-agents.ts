import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AgentSchema,
  DefaultsSchema,
  DesiredState,
  Launcher,
  type Agent,
  type AgentSpecSchema,
  type Defaults,
} from "@openhermit/protocol/fleet/v1/agent";
import { didYouMean } from "@openhermit/nearest-name";
import type { CompileContext, KnownNames } from "./compile-context.ts";
import type { ProblemList } from "./problem-list.ts";
import { MODEL, slugObjection, TEAM_ID, type AgentSource, type BehaviourSource } from "./schema-agent.ts";

/** How launchers are written in a manifest. */
export const LAUNCHERS = { process: Launcher.PROCESS, external: Launcher.EXTERNAL } as const;
const STATES = { running: DesiredState.RUNNING, stopped: DesiredState.STOPPED } as const;

/**
 * The defaults as a message, and their problems. Undefined when the manifest has none: a team alone is filled in for the
 * manifest's own agents and is no default of the fleet.
 */
export function compileDefaults(
  source: BehaviourSource | undefined,
  providers: ReadonlySet<string>,
  { known, problems, checkRules }: CompileContext,
): Defaults | undefined {
  if (source === undefined) return undefined;
  const path = ["defaults"];
  if (source.model !== undefined) checkModel(source.model, [...path, "model"], providers, problems);
  checkTeam(source.team, [...path, "team"], known, problems);
  if (Object.keys(source).every((key) => key === "team") && source.team !== undefined) return undefined;
  const message = create(DefaultsSchema, { spec: compileSpec(source) });
  checkRules(DefaultsSchema, message, path, problems);
  return message;
}

/**
 * The agents as messages with what each sets itself, and their problems.
 *
 * @param team of those that name none.
 * @param defaultModel what those run with that name none; empty: nothing.
 */
export function compileAgents(
  agents: ReadonlyMap<string, AgentSource>,
  { team, defaultModel }: { team: string; defaultModel: string },
  providers: ReadonlySet<string>,
  context: CompileContext,
): Agent[] {
  const { known, problems, checkRules } = context;
  const hasDefaultModel = defaultModel !== "" || problems.touches(["defaults", "model"]);
  return [...agents].map(([id, source]) => {
    const path = ["agents", id];
    if (source.model !== undefined) checkModel(source.model, [...path, "model"], providers, problems);
    else if (!hasDefaultModel && !problems.touches([...path, "model"])) {
      problems.add(path, `agent "${id}" has no model`, "set its model, or defaults.model for all agents", "key");
    }
    checkTeam(source.team, [...path, "team"], known, problems);
    const message = create(AgentSchema, {
      id,
      displayName: source.displayName ?? id,
      labels: Object.fromEntries(source.labels ?? []),
      spec: compileSpec(source),
      desiredState: source.desiredState === undefined ? DesiredState.UNSPECIFIED : STATES[source.desiredState],
      team: source.team ?? team,
    });
    // A bad team of the defaults is told once, where it stands.
    checkRules(AgentSchema, message, path, problems, (field) =>
      field[0] === "team" && source.team === undefined ? ["defaults", "team"] : [...path, ...field],
    );
    return message;
  });
}

/** What is set, and nothing else: the rest is the defaults' matter. */
function compileSpec(source: BehaviourSource): MessageInitShape<typeof AgentSpecSchema> {
  const { modelParameters = {}, turnLimits = {} } = source;
  return {
    model: source.model ?? "",
    instructions: source.instructions ?? "",
    launcher: source.launcher === undefined ? Launcher.UNSPECIFIED : LAUNCHERS[source.launcher],
    ...(Object.keys(modelParameters).length > 0 && { modelParameters }),
    ...(Object.keys(turnLimits).length > 0 && { turnLimits }),
  };
}

function checkModel(model: string, path: string[], providers: ReadonlySet<string>, problems: ProblemList): void {
  const provider = MODEL.exec(model)?.[1];
  if (provider === undefined || model.length > 200) {
    const hint = "for example offline/echo or anthropic/claude-sonnet-4-5";
    problems.add(path, `"${model.slice(0, 80)}" is not a model: write provider/model`, hint);
  } else if (!providers.has(provider)) {
    const hint = (): string => {
      const names = [...providers].toSorted().slice(0, 20).join(", ");
      return didYouMean(provider, providers, `known are ${names}; others go in providers:`);
    };
    problems.add(path, `provider "${provider}" is not known`, hint);
  }
}

function checkTeam(team: string | undefined, path: string[], { isTeam }: KnownNames, problems: ProblemList): void {
  if (team === "") {
    problems.add(path, "expected a team, found nothing", "leave the key out to let each agent stay in its team");
  } else if (team !== undefined && !TEAM_ID.test(team)) {
    problems.add(path, slugObjection(team, "a team's id", 63));
  } else if (team !== undefined && !isTeam(team)) {
    problems.add(path, `team "${team}" does not exist`, "create it first, or mend its name");
  }
}

import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { agentColumns, stateDetail } from "../agent-view.ts";
import { formatTable } from "../output/table.ts";
import { millisecondsText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import { isAwaited } from "./wait-online.ts";

/** What the screen shows. */
export interface UpScreen {
  url: string;
  loginUrl: string | undefined;
  home: string;
  agents: readonly Agent[];
  /** From the call to readiness. */
  readyMs: number;
}

/** The one screen of `hermit up`: where it is, who is there, what to do next. */
export function upScreen(terminal: Terminal, { url, loginUrl, home, agents, readyMs }: UpScreen): string {
  const late = agents.filter(isAwaited);
  const title =
    late.length === 0
      ? terminal.paint(["green", "bold"], "OpenHermit Mesh is up")
      : terminal.paint(
          ["yellow", "bold"],
          `OpenHermit Mesh is up, ${late.length} of ${agents.length} agents are not online yet`,
        );
  const detailed = agents.some((agent) => agent.status?.state !== AgentState.ONLINE && stateDetail(agent) !== "");
  const columns = agentColumns(terminal).filter(
    ({ title: name }) => name === "AGENT" || name === "STATE" || name === "MODEL" || (name === "DETAIL" && detailed),
  );
  const first = agents.find((agent) => agent.status?.state === AgentState.ONLINE)?.id ?? agents[0]?.id;
  const label = (name: string): string => terminal.paint("dim", name.padEnd(6));
  return [
    `${title} ${terminal.paint("dim", `(${millisecondsText(readyMs)})`)}`,
    "",
    `  ${label("URL")} ${url}`,
    ...(loginUrl === undefined ? [] : [`  ${label("Login")} ${loginUrl}`]),
    `  ${label("Home")} ${home}`,
    "",
    ...(agents.length === 0
      ? ["  No agents yet."]
      : formatTable(terminal, columns, agents)
          .split("\n")
          .map((line) => `  ${line}`)),
    "",
    "Next, in another shell:",
    ...(first === undefined
      ? ["  bin/hermit apply -f examples/fleet/agents.yaml"]
      : [`  bin/hermit chat ${first} "use echo to say hello"`, "  bin/hermit logs -f", "  bin/hermit health"]),
    terminal.paint("dim", "Ctrl-C stops all of it."),
  ].join("\n");
}

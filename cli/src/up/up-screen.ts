import { join } from "node:path";
import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { agentColumns, stateDetail } from "../agent-view.ts";
import { formatTable } from "../output/table.ts";
import { millisecondsText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import { isAwaited } from "./wait-online.ts";

/** What the screen shows. */
export interface UpScreen {
  url: string;
  /** Opens a browser session of the local operator. */
  loginUrl?: string | undefined;
  /** Makes the first owner; undefined when there is one. */
  setupUrl?: string | undefined;
  home: string;
  /** The context that bin/hermit uses instead of this home; undefined: none. */
  context: string | undefined;
  agents: readonly Agent[];
  /** From the call to readiness. */
  readyMs: number;
}

/** The one screen of `hermit up`: where it is, who is there, what to do next. */
export function upScreen(terminal: Terminal, screen: UpScreen): string {
  const { url, home, agents, readyMs } = screen;
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
  return [
    `${title} ${terminal.paint("dim", `(${millisecondsText(readyMs)})`)}`,
    "",
    ...labelled(terminal, [
      ["URL", url],
      ["Home", home],
    ]),
    "",
    ...waysIn(terminal, screen),
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

/** How a browser, the first owner and the command line come in; nothing answers without a credential. */
function waysIn(terminal: Terminal, { loginUrl, setupUrl, home, context }: UpScreen): string[] {
  const dim = (words: string): string => terminal.paint("dim", words);
  const rows: [string, string][] = [];
  if (loginUrl !== undefined) {
    rows.push(["Browser", loginUrl], ["", dim("logs you in as the local operator; once, within 12 hours")]);
  }
  if (setupUrl !== undefined) {
    rows.push(["Owner", setupUrl], ["", dim("makes you the owner, who invites others; once, within 30 minutes")]);
  }
  rows.push(["Shell", join(home, "operator-token")]);
  if (context !== undefined) {
    const back = `bin/hermit uses context ${context} instead; to use this token: bin/hermit context use local`;
    rows.push(["", terminal.paint("yellow", back)]);
  } else {
    rows.push(["", dim("the operator token, which may do everything; bin/hermit takes it from there")]);
  }
  return labelled(terminal, rows);
}

const labelled = (terminal: Terminal, rows: readonly (readonly [string, string])[]): string[] =>
  rows.map(([name, value]) => `  ${terminal.paint("dim", name.padEnd(8))} ${value}`);

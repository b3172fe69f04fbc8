import type { Reach } from "@openhermit/caller";

const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const AGENT_LABELS: ReadonlySet<string> = new Set(["agent_id", "agent"]);

/** Metrics as text without the lines about agents out of reach. */
export function metricsInReach(text: string, agents: Reach): string {
  if (agents.all) {
    return text;
  }
  // Not `has`: where many agents are counted together under one name, that name is nobody's.
  const reachable = new Set(agents.ids());
  return text
    .split("\n")
    .filter((line) => line.startsWith("#") || agentsOf(line).every((agentId) => reachable.has(agentId)))
    .join("\n");
}

function agentsOf(line: string): string[] {
  const labels = line.slice(line.indexOf("{") + 1, line.lastIndexOf("}"));
  return [...labels.matchAll(LABEL)].filter(([, name = ""]) => AGENT_LABELS.has(name)).map(([, , value = ""]) => value);
}

import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { AgentState, DesiredState, Launcher, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState, type AgentHealth } from "@openhermit/protocol/health/v1/health";
import { listAllAgents, stateDetail, stateWord } from "./agent-view.ts";
import { repositoryRoot, type CliConfig } from "./config.ts";
import { failed, ok, skipped, type Finding } from "./doctor-finding.ts";
import { checkLogins } from "./doctor-logins.ts";
import { toCliError } from "./error-report.ts";
import { findGateway, readGatewayFile, type FoundGateway } from "./find-gateway.ts";
import { createGateway } from "./gateway-client.ts";

/** How many agents are named for one finding. */
const NAMED = 8;
const MIN_NODE = 24;
const MIN_FREE_BYTES = 512 * 1024 * 1024;

/** Looks at everything that has to be right, in the order in which one thing needs the other. */
export async function* examine(config: CliConfig): AsyncGenerator<Finding> {
  yield checkNode();
  yield checkInstall();
  const home = checkHome(config);
  yield home;
  if (home.outcome === "ok") yield checkSpace(config);
  yield* checkLogins(config);
  yield* checkGateway(config);
}

function checkNode(): Finding {
  const { node } = process.versions;
  if (Number(node.split(".")[0]) >= MIN_NODE) return ok("node", `${node} at ${process.execPath}`);
  return failed("node", `${node} is too old`, `start with bin/hermit, which fetches Node ${MIN_NODE}`);
}

function checkInstall(): Finding {
  const lock = join(repositoryRoot, "package-lock.json");
  const stamp = join(repositoryRoot, "node_modules/.package-lock.json");
  if (!existsSync(stamp)) return failed("dependencies", "not installed", "npm ci");
  if (statSync(lock).mtimeMs > statSync(stamp).mtimeMs + 60_000) {
    return failed("dependencies", "older than package-lock.json", "npm ci");
  }
  return ok("dependencies", "installed");
}

function checkHome({ home }: CliConfig): Finding {
  if (!existsSync(home)) return ok("home", `${home} does not exist yet; bin/hermit up makes it`);
  try {
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return failed("home", `${home} is not writable`, `chown or chmod it, or choose another one with --home`);
  }
  const token = join(home, "operator-token");
  if (existsSync(token) && (statSync(token).mode & 0o077) !== 0) {
    return failed("home", "others can read the operator token", `chmod 600 ${token}`);
  }
  return ok("home", home);
}

function checkSpace({ home }: CliConfig): Finding {
  const { bavail, bsize } = statfsSync(existsSync(home) ? home : repositoryRoot);
  const free = `${Math.round((bavail * bsize) / 1024 / 1024)} MiB free`;
  if (bavail * bsize >= MIN_FREE_BYTES) return ok("disk", free);
  return failed("disk", free, "make room: the database and the sidecars' ledgers stop when the disk is full");
}

async function* checkGateway(config: CliConfig): AsyncGenerator<Finding> {
  let found: FoundGateway;
  try {
    found = await findGateway(config);
  } catch (error) {
    const { message, why, next } = toCliError(error);
    yield failed("gateway", why === undefined ? message : `${message}: ${why}`, next ?? "bin/hermit up");
    yield skipped("agents", "needs the gateway");
    return;
  }
  const gateway = createGateway(found);
  let asked = "gateway";
  try {
    const { health } = await gateway.health.getFleetHealth({}, { timeoutMs: 5000 });
    const own = readGatewayFile(config.home);
    const version = own?.url === found.url ? own.version : undefined;
    yield ok("gateway", `answers at ${found.url}${version === undefined ? "" : `, version ${version}`}`);
    for (const component of health?.gatewayComponents ?? []) {
      const well = component.state === HealthState.OK;
      const fix = component.name === "database" ? databaseFix(config) : "look into logs/gateway.log in the home";
      yield well ? ok(component.name, "ok") : failed(component.name, component.detail || "does not work", fix);
    }
    asked = "agents";
    const agents = await listAllAgents(gateway);
    const ill = new Set(agents.filter((agent) => !isWell(agent)).map(({ id }) => id));
    yield* checkComponents(health?.agents ?? [], ill);
    for (const agent of agents) {
      const detail = [stateWord(agent), stateDetail(agent)].filter((part) => part !== "").join(": ");
      const check = `agent ${agent.id}`;
      yield ill.has(agent.id) ? failed(check, detail, agentFix(config, agent)) : ok(check, detail);
    }
  } catch (error) {
    const { message, why, next } = toCliError(error, found);
    yield failed(
      asked,
      why === undefined ? message : `${message}: ${why}`,
      next ?? "look into logs/gateway.log in the home",
    );
  } finally {
    gateway.close();
  }
}

/** What is down with agents: the same with several of them once. */
function* checkComponents(agents: readonly AgentHealth[], ill: ReadonlySet<string>): Generator<Finding> {
  const down = agents.flatMap(({ agentId, components }) =>
    components
      .filter(({ state }) => state !== HealthState.OK && state !== HealthState.UNSPECIFIED)
      // The agent's own line says it, and how to mend it.
      .filter(({ name }) => name !== "link" || !ill.has(agentId))
      .map(({ name, detail }) => ({ agentId, name, detail: detail || "does not work" })),
  );
  for (const same of Map.groupBy(down, ({ name, detail }) => `${name}\n${detail}`).values()) {
    const [first] = same;
    if (!first) continue;
    const { agentId, name, detail } = first;
    const ids = same.slice(0, NAMED).map((one) => one.agentId);
    const more = same.length > NAMED ? ` and ${same.length - NAMED} more` : "";
    yield failed(`${ids.join(", ")}${more}: ${name}`, detail, componentFix(name, agentId));
  }
}

function databaseFix({ databaseUrl, home }: CliConfig): string {
  return databaseUrl === undefined
    ? `start again; PostgreSQL's log is in ${join(home, "postgres")}`
    : "start the server that OPENHERMIT_DATABASE_URL names; the gateway connects by itself";
}

const isRejected = ({ status }: Agent): boolean => (status?.rejectedReason ?? "") !== "";

function isWell(agent: Agent): boolean {
  if (agent.desiredState === DesiredState.STOPPED) return true;
  return agent.status?.state === AgentState.ONLINE && !isRejected(agent);
}

function agentFix({ home }: CliConfig, agent: Agent): string {
  if (isRejected(agent)) return "mend it in the manifest, then bin/hermit apply -f FILE; until then it runs as before";
  if ((agent.effectiveSpec ?? agent.spec)?.launcher === Launcher.EXTERNAL)
    return "start its sidecar on its host: bin/hermit sidecars --help";
  return `bin/hermit agents restart ${agent.id}; its log is ${join(home, "sidecars", agent.id, "sidecar.log")}`;
}

function componentFix(component: string, agentId: string): string {
  if (component === "model") return "check the model's API key in the environment of bin/hermit up, then start again";
  if (component.startsWith("mcp:")) {
    const id = component.slice("mcp:".length);
    return `bin/hermit mcp get ${id} shows its command or URL; mend it there or in the manifest: bin/hermit mcp add ${id}`;
  }
  return `bin/hermit logs --agent ${agentId}`;
}

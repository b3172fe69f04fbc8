import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState, type FleetHealth } from "@openhermit/protocol/health/v1/health";

import { html, type Html } from "./html.ts";
import type { Page } from "./layout.ts";
import { sendLogin } from "./login-page.ts";
import { nextPath } from "./next-path.ts";
import { identityName, roleWord } from "./role-word.ts";
import { sendPage, type PageRoutes } from "./web-context.ts";
import type { WebOptions } from "./web-options.ts";
import { urlParameter } from "./web-request.ts";

/** What the status page shows. */
interface StatusView {
  version: string;
  now: Date;
  /** Undefined for somebody who may not see it. */
  health: FleetHealth | undefined;
  /** One page of the agents; undefined when they can't be read now. */
  agents: readonly Agent[] | undefined;
  /** Whether no agent is out of reach. */
  all: boolean;
  /** The token of the next page; empty on the last one. */
  nextPageToken: string;
}

const RENEW_S = 5;

/** GET / shows the agents in reach and how they are, to whoever is logged in. */
export const statusRoutes: PageRoutes = (app, web) => {
  const { options } = web;

  app.get("/", async (request, reply) => {
    const session = await web.session(request);
    if (session === undefined) {
      return sendLogin(web, request, reply, { next: nextPath(request.url), status: 401 });
    }
    const { principal } = session;
    const seen = options.access.decide(principal, "agents", "read");
    const health = options.access.decide(principal, "health", "read");
    const [identity, fleetHealth, list] = await Promise.all([
      options.identity(principal),
      health.granted ? options.health(health.agents) : undefined,
      options.agents(seen.agents, urlParameter(request, "page_token")).catch((error: unknown) => {
        options.log.debug({ err: error }, "agents not readable for the page");
        return { agents: undefined, nextPageToken: "" };
      }),
    ]);
    const view = { version: options.version, now: web.now(), health: fleetHealth, all: seen.agents.all, ...list };
    return sendPage(request, reply, statusPage(view, identity, web.forms.sessionField(session.secret)));
  });
};

interface Badge {
  icon: string;
  word: string;
  tone: "good" | "warn" | "bad" | "idle";
}

const AGENT_BADGES: Readonly<Record<number, Badge>> = {
  [AgentState.STOPPED]: { icon: "○", word: "stopped", tone: "idle" },
  [AgentState.STARTING]: { icon: "◌", word: "starting", tone: "idle" },
  [AgentState.ONLINE]: { icon: "●", word: "online", tone: "good" },
  [AgentState.UNREACHABLE]: { icon: "▲", word: "unreachable", tone: "warn" },
  [AgentState.CRASHED]: { icon: "✕", word: "crashed", tone: "bad" },
  [AgentState.STOPPING]: { icon: "◌", word: "stopping", tone: "idle" },
};

const HEALTH_BADGES: Readonly<Record<number, Badge>> = {
  [HealthState.OK]: { icon: "●", word: "OK", tone: "good" },
  [HealthState.DEGRADED]: { icon: "▲", word: "DEGRADED", tone: "warn" },
  [HealthState.DOWN]: { icon: "✕", word: "DOWN", tone: "bad" },
};

const UNKNOWN: Badge = { icon: "?", word: "unknown", tone: "idle" };

function statusPage(view: StatusView, identity: Awaited<ReturnType<WebOptions["identity"]>>, formToken: Html): Page {
  const { health, agents } = view;
  const reasons = health?.reasons ?? [];
  return {
    title: "Fleet",
    renewSeconds: RENEW_S,
    aside: html`<div class="aside">
      ${health !== undefined && html`<p class="overall">${badge(HEALTH_BADGES[health.state] ?? UNKNOWN)}</p>`}
      <form class="who" method="post" action="/logout">
        ${formToken}<span><bdi>${identityName(identity)}</bdi> · ${roleWord(identity.role)}</span>
        <button type="submit" class="quiet">Log out</button>
      </form>
    </div>`,
    body: html`${
        reasons.length > 0 &&
        html`<ul class="reasons">
          ${reasons.map((one) => html`<li>${one}</li>`)}
        </ul>`
      }
      <main>
        <h2>Agents</h2>
        ${agentList(view)}
      </main>
      <footer>
        ${agents !== undefined && view.nextPageToken !== "" && html`<a href="/?page_token=${encodeURIComponent(view.nextPageToken)}">More agents</a>`}
        <p>
          Version ${view.version} · as of ${view.now.toISOString().slice(0, 19).replace("T", " ")} UTC · renews itself
          every ${RENEW_S} s
        </p>
      </footer>`,
  };
}

function agentList({ agents, health, all, now }: StatusView): Html {
  if (agents === undefined) {
    return html`<p class="empty">The agents can't be read now. The reason stands above; this page heals by itself.</p>`;
  }
  if (agents.length === 0) {
    return all
      ? html`<p class="empty">No agents yet. Add some with <code>bin/hermit apply -f agents.yaml</code>.</p>`
      : html`<p class="empty">No agents that you may see. An admin can add you to a team, or grant you an agent.</p>`;
  }
  const components = new Map(health?.agents.map((one) => [one.agentId, one.components]));
  const rows = agents.map((agent) => {
    const troubles = (components.get(agent.id) ?? []).filter(({ state }) => state !== HealthState.OK);
    return agentRow(agent, troubles, now);
  });
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Agent</th>
        <th scope="col">State</th>
        <th scope="col">Model</th>
        <th scope="col">Sidecar</th>
        <th scope="col">Generation</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

function agentRow(agent: Agent, troubles: FleetHealth["agents"][number]["components"], now: Date): Html {
  const { status } = agent;
  const since = age(status?.stateSince, now);
  const notes = [
    status?.detail ?? "",
    status?.rejectedReason ? `snapshot rejected: ${status.rejectedReason}` : "",
    ...troubles
      .filter(({ detail }) => detail === "" || detail !== status?.detail)
      .map(({ name, detail }) => (detail === "" ? name : `${name}: ${detail}`)),
  ].filter((note) => note !== "");
  return html`<tr>
    <th scope="row">
      ${agent.id}${agent.displayName !== "" && agent.displayName !== agent.id && html`<small>${agent.displayName}</small>`}
    </th>
    <td data-label="State">
      ${badge(AGENT_BADGES[status?.state ?? 0] ?? UNKNOWN)}${since !== undefined && html`<small>for ${since}</small>`}
      ${
        notes.length > 0 &&
        html`<ul>
          ${notes.map((note) => html`<li>${note}</li>`)}
        </ul>`
      }
    </td>
    <td data-label="Model">${agent.spec?.model}</td>
    <td data-label="Sidecar">${sidecar(status)}</td>
    <td data-label="Generation">${generation(status)}</td>
  </tr>`;
}

function sidecar(status: Agent["status"]): Html {
  if (status === undefined || status.pid === 0) {
    return html`<span class="none">not attached</span>`;
  }
  return html`${status.sidecarId}<small>${status.host} · pid ${status.pid} · ${status.sidecarVersion}</small>`;
}

function generation(status: Agent["status"]): Html {
  if (status === undefined || status.desiredGeneration === 0n) {
    return html`<span class="none">none</span>`;
  }
  return status.appliedGeneration === status.desiredGeneration
    ? html`${status.appliedGeneration}<small>applied</small>`
    : html`${status.desiredGeneration}<small>applied: ${status.appliedGeneration}</small>`;
}

function badge({ icon, word, tone }: Badge): Html {
  return html`<span class="badge ${tone}"><span aria-hidden="true">${icon}</span> ${word}</span>`;
}

function age(since: Timestamp | undefined, now: Date): string | undefined {
  if (since === undefined) {
    return undefined;
  }
  const seconds = Math.max(0, Math.round((now.getTime() - timestampDate(since).getTime()) / 1000));
  if (seconds < 60) {
    return `${seconds} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min`;
  }
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

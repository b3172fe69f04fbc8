import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState, type FleetHealth } from "@openhermit/protocol/health/v1/health";

import { html, type Html } from "./html.ts";

/** What the status page shows. */
export interface StatusView {
  version: string;
  now: Date;
  health: FleetHealth;
  /** One page of the agents; undefined when they can't be read now. */
  agents: readonly Agent[] | undefined;
  /** The token of the next page; empty on the last one. */
  nextPageToken: string;
}

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

/** The page that shows the fleet. */
export function statusPage(view: StatusView): string {
  const { health, agents } = view;
  return document(
    "Fleet",
    html`<header>
        <h1>OpenHermit Mesh</h1>
        <p class="overall">${badge(HEALTH_BADGES[health.state] ?? UNKNOWN)}</p>
      </header>
      ${
        health.reasons.length > 0 &&
        html`<ul class="reasons">
          ${health.reasons.map((one) => html`<li>${one}</li>`)}
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
          every 5 s
        </p>
      </footer>`,
    true,
  );
}

/** The page for a browser without a session. */
export function loginPage(reason?: string): string {
  return document(
    "Log in",
    html`<header><h1>OpenHermit Mesh</h1></header>
      <main class="login">
        ${reason !== undefined && html`<p class="reasons">${reason}</p>`}
        <h2>Log in</h2>
        <p>Open the login link that <code>bin/hermit up</code> printed. It works once.</p>
        <p>Ask for another one on the machine where the gateway runs:</p>
        <pre><code>bin/hermit login</code></pre>
      </main>`,
    false,
  );
}

function agentList({ agents, health, now }: StatusView): Html {
  if (agents === undefined) {
    return html`<p class="empty">The agents can't be read now. The reason stands above; this page heals by itself.</p>`;
  }
  if (agents.length === 0) {
    return html`<p class="empty">No agents yet. Add some with <code>bin/hermit apply -f agents.yaml</code>.</p>`;
  }
  const components = new Map(health.agents.map((one) => [one.agentId, one.components]));
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

function document(title: string, body: Html, refresh: boolean): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${refresh && html`<meta http-equiv="refresh" content="5" />`}
        <title>${title} · OpenHermit Mesh</title>
        <link rel="stylesheet" href="/assets/pages.css" />
      </head>
      <body>
        ${body}
      </body>
    </html> `.html;
}

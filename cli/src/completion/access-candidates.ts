import { accessClients, type AccessClients } from "../access/access-clients.ts";
import { listAllMembers } from "../access/member-view.ts";
import { roleWord } from "../access/role-option.ts";
import { listAllServiceAccounts } from "../access/service-account-view.ts";
import { actorWords, subjectText } from "../access/subject-text.ts";
import { listAllTeams } from "../access/team-view.ts";
import { lastUseText, listAllTokens } from "../access/token-view.ts";
import type { Cli } from "../cli.ts";
import { LOCAL } from "../contexts/context.ts";
import { readContexts } from "../contexts/context-store.ts";
import type { Candidate } from "./candidate.ts";

type Find = (clients: AccessClients, signal: AbortSignal) => Promise<Candidate[]>;

/** What the options and arguments of access take, by their name. */
const FINDERS: Readonly<Record<string, readonly Find[]>> = {
  member: [members],
  team: [teams],
  account: [serviceAccounts("")],
  serviceAccount: [serviceAccounts("")],
  "team-member": [members, serviceAccounts("service-account:")],
  subject: [members, teamSubjects, serviceAccounts("service-account:")],
  actor: [members, serviceAccounts("service-account:"), actors],
  accessor: [tokens],
  scope: [scopes],
};

/** The values that a name stands for; none, rather than an error in the middle of a line, when the gateway is away. */
export async function accessValues(cli: Cli, name: string, patienceMs: number): Promise<Candidate[]> {
  if (name === "context") return contexts(cli);
  const finders = FINDERS[name];
  if (!finders) return [];
  try {
    const clients = accessClients(await cli.gateway());
    const signal = AbortSignal.timeout(patienceMs);
    // Who may not see members may see teams.
    const found = await Promise.all(finders.map((find) => find(clients, signal).catch(() => [])));
    return found.flat();
  } catch {
    return [];
  }
}

async function contexts(cli: Cli): Promise<Candidate[]> {
  try {
    const found = await readContexts(cli.config.configFolder);
    const named = found.contexts.map(({ name, url }) => ({ value: name, description: url }));
    return [...named, { value: LOCAL, description: "the home of this host" }];
  } catch {
    return [];
  }
}

async function members(clients: AccessClients, signal: AbortSignal): Promise<Candidate[]> {
  const found = await listAllMembers(clients, signal);
  return found.map(({ id, displayName, role }) => ({ value: id, description: `${displayName}, ${roleWord(role)}` }));
}

async function teams(clients: AccessClients, signal: AbortSignal): Promise<Candidate[]> {
  return (await listAllTeams(clients, signal)).map(({ id, displayName }) => ({ value: id, description: displayName }));
}

async function teamSubjects(clients: AccessClients, signal: AbortSignal): Promise<Candidate[]> {
  return (await teams(clients, signal)).map((team) => ({ ...team, value: `team:${team.value}` }));
}

function serviceAccounts(prefix: string): Find {
  return async (clients, signal) => {
    const found = await listAllServiceAccounts(clients, signal);
    return found.map(({ id, displayName, role }) => ({
      value: `${prefix}${id}`,
      description: `${displayName}, ${roleWord(role)}`,
    }));
  };
}

async function actors(): Promise<Candidate[]> {
  return actorWords.map((value) => ({ value, description: "" }));
}

async function tokens(clients: AccessClients, signal: AbortSignal): Promise<Candidate[]> {
  return (await listAllTokens(clients, {}, signal)).map((token) => ({
    value: token.accessor,
    description: [subjectText(token.subject), token.name, `used ${lastUseText(token)}`].filter(Boolean).join(", "),
  }));
}

async function scopes({ tokens: service }: AccessClients, signal: AbortSignal): Promise<Candidate[]> {
  const found = await service.listScopes({}, { signal });
  return found.scopes.map(({ scope, selector }) => ({
    value: scope,
    description: selector === "" ? "" : `or for one ${selector}`,
  }));
}

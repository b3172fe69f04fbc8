import { Role } from "@openhermit/protocol/access/v1/subject";

/** What principals may do to a thing. `write` includes `read`. */
export type RightVerb = "read" | "write";

/** What a role may do with one resource. */
export interface ResourceRights {
  /** The lowest role that may read it; undefined: there is nothing to read. */
  readonly read?: Role;
  /** The lowest role that may write it; undefined: there is nothing to write. */
  readonly write?: Role;
  /** What a scope's selector names; empty: a scope of it takes no selector. */
  readonly selector: string;
  /** Whether it is about agents: the selector names an agent, and grants count. */
  readonly agentBound: boolean;
  /**
   * Whether tokens hold it by a scope. Otherwise there is no scope for it: `always` every token has it, `never` none but a
   * login.
   */
  readonly byScope: "yes" | "always" | "never";
  /** Whether only the local operator has it. */
  readonly hostOnly: boolean;
  /** What it opens, one sentence. */
  readonly text: string;
}

const PLAIN = { selector: "", agentBound: false, byScope: "yes", hostOnly: false } as const;
const OF_AGENTS = { ...PLAIN, selector: "agent", agentBound: true } as const;

/** The rights table: which role may do what. There is no other place that says so. */
export const RESOURCES: ReadonlyMap<string, ResourceRights> = new Map<string, ResourceRights>([
  [
    "activity",
    { ...OF_AGENTS, read: Role.VIEWER, text: "The activity log: what agents, models and tools did, and what it cost." },
  ],
  [
    "agents",
    {
      ...OF_AGENTS,
      read: Role.VIEWER,
      write: Role.OPERATOR,
      text: "Agents: their configuration and state; write creates, changes, starts, stops and deletes them.",
    },
  ],
  ["audit", { ...PLAIN, read: Role.ADMIN, text: "The audit trail: who did what." }],
  [
    "grants",
    {
      ...PLAIN,
      selector: "agent",
      read: Role.ADMIN,
      write: Role.ADMIN,
      text: "Grants: the right of a member, a service account or a team to one agent.",
    },
  ],
  ["health", { ...OF_AGENTS, read: Role.VIEWER, text: "How the fleet and each agent are." }],
  [
    "host",
    {
      ...PLAIN,
      write: Role.OWNER,
      byScope: "never",
      hostOnly: true,
      text: "What only the local operator may do: the setup code and the login link.",
    },
  ],
  [
    "manifests",
    {
      ...PLAIN,
      read: Role.OPERATOR,
      write: Role.OPERATOR,
      text: "Manifests: read plans, exports and finds drift, write applies; each thing changed also needs its own right.",
    },
  ],
  [
    "mcp-servers",
    {
      ...PLAIN,
      selector: "MCP server",
      read: Role.VIEWER,
      write: Role.OPERATOR,
      text: "MCP servers and which agents use them; write needs all agents concerned in reach.",
    },
  ],
  [
    "members",
    {
      ...PLAIN,
      selector: "member",
      read: Role.ADMIN,
      write: Role.ADMIN,
      text: "Members: write invites, promotes, demotes, disables and removes them.",
    },
  ],
  ["metrics", { ...PLAIN, read: Role.VIEWER, text: "The metrics of the gateway and of the agents in reach." }],
  [
    "providers",
    {
      ...PLAIN,
      selector: "provider",
      read: Role.VIEWER,
      write: Role.ADMIN,
      text: "Model providers: where models are, and which variable holds the key.",
    },
  ],
  ["reflection", { ...PLAIN, read: Role.VIEWER, text: "The contracts of the gateway, through gRPC reflection." }],
  [
    "self",
    {
      ...PLAIN,
      read: Role.VIEWER,
      write: Role.VIEWER,
      byScope: "always",
      text: "Who one is, logging out, and the own password.",
    },
  ],
  [
    "service-accounts",
    {
      ...PLAIN,
      selector: "service account",
      read: Role.ADMIN,
      write: Role.ADMIN,
      text: "Service accounts: the accounts of programs, and making tokens for them.",
    },
  ],
  [
    "sessions",
    {
      ...OF_AGENTS,
      read: Role.VIEWER,
      write: Role.OPERATOR,
      text: "Conversations with agents: transcripts and turns; write sends messages and cancels turns.",
    },
  ],
  [
    "sidecars",
    {
      ...PLAIN,
      selector: "sidecar",
      write: Role.OPERATOR,
      text: "Inviting sidecars on other hosts to join; needs their agents in reach.",
    },
  ],
  [
    "skills",
    {
      ...PLAIN,
      selector: "skill",
      read: Role.VIEWER,
      write: Role.OPERATOR,
      text: "Skills and which agents have them; write needs all agents concerned in reach.",
    },
  ],
  [
    "teams",
    {
      ...PLAIN,
      selector: "team",
      read: Role.VIEWER,
      write: Role.ADMIN,
      text: "Teams: whoever is no admin reads the own ones only.",
    },
  ],
  [
    "tokens",
    {
      ...PLAIN,
      selector: "token",
      read: Role.VIEWER,
      write: Role.VIEWER,
      text: "Tokens: making, listing and revoking them; whoever is no admin, the own ones only.",
    },
  ],
]);

/** The lowest role that may do it; undefined: nobody, there is no such right. */
export function roleFor(resource: string, verb: RightVerb): Role | undefined {
  return RESOURCES.get(resource)?.[verb];
}

import type { DeclareVerb } from "./declare-verb.ts";

/** The verbs in the order of the help, each loaded when it is called (or when the help lists all). */
export const verbs: readonly { name: string; load(): Promise<DeclareVerb> }[] = [
  { name: "up", load: async () => (await import("./verbs/up.ts")).declareUp },
  { name: "apply", load: async () => (await import("./verbs/apply.ts")).declareApply },
  { name: "agents", load: async () => (await import("./verbs/agents.ts")).declareAgents },
  { name: "chat", load: async () => (await import("./verbs/chat.ts")).declareChat },
  { name: "sessions", load: async () => (await import("./verbs/sessions.ts")).declareSessions },
  { name: "logs", load: async () => (await import("./verbs/logs.ts")).declareLogs },
  { name: "health", load: async () => (await import("./verbs/health.ts")).declareHealth },
  { name: "open", load: async () => (await import("./verbs/open.ts")).declareOpen },
  { name: "sidecars", load: async () => (await import("./verbs/sidecars.ts")).declareSidecars },
  { name: "login", load: async () => (await import("./verbs/login.ts")).declareLogin },
  { name: "logout", load: async () => (await import("./verbs/logout.ts")).declareLogout },
  { name: "whoami", load: async () => (await import("./verbs/whoami.ts")).declareWhoami },
  { name: "password", load: async () => (await import("./verbs/password.ts")).declarePassword },
  { name: "context", load: async () => (await import("./verbs/context.ts")).declareContext },
  { name: "setup", load: async () => (await import("./verbs/setup.ts")).declareSetup },
  { name: "members", load: async () => (await import("./verbs/members.ts")).declareMembers },
  { name: "teams", load: async () => (await import("./verbs/teams.ts")).declareTeams },
  {
    name: "service-accounts",
    load: async () => (await import("./verbs/service-accounts.ts")).declareServiceAccounts,
  },
  { name: "tokens", load: async () => (await import("./verbs/tokens.ts")).declareTokens },
  { name: "grants", load: async () => (await import("./verbs/grants.ts")).declareGrants },
  { name: "audit", load: async () => (await import("./verbs/audit.ts")).declareAudit },
  { name: "doctor", load: async () => (await import("./verbs/doctor.ts")).declareDoctor },
  { name: "version", load: async () => (await import("./verbs/version.ts")).declareVersion },
  { name: "completion", load: async () => (await import("./verbs/completion.ts")).declareCompletion },
];

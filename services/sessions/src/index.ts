export { sessionsMigrations } from "./migrations.ts";
export type {
  HostedAgents,
  ReconciledTurns,
  SessionsPorts,
  SessionsService,
  SessionsServiceOptions,
  TranscriptPage,
  TurnBatch,
  TurnCounts,
} from "./sessions-ports.ts";
export { createSessionsService } from "./sessions-service.ts";

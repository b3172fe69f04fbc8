export type { VerifiedSidecar } from "./enrollment.ts";
export type {
  AttachedLink,
  DetachedLink,
  DetachReason,
  HostedAgents,
  IngestBatch,
  MeshPorts,
  ReconciledTurns,
  SnapshotAnswer,
} from "./mesh-ports.ts";
export { createMeshService, type MeshService, type MeshServiceOptions } from "./mesh-service.ts";
export { meshMigrations } from "./migrations.ts";

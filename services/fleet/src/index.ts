export type {
  AgentView,
  ApplyOptions,
  DetachReason,
  FleetPorts,
  FleetService,
  FleetServiceOptions,
  Link,
  ResourceChange,
  SnapshotSource,
} from "./fleet-ports.ts";
export { createFleetService, fleetMigrations } from "./fleet-service.ts";
export type { LauncherOptions } from "./launcher/process-launcher.ts";

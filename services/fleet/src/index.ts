export type {
  AgentView,
  ApplyOptions,
  DetachReason,
  EffectiveValue,
  FieldDifference,
  FleetChanges,
  FleetPorts,
  FleetService,
  FleetServiceOptions,
  Link,
  ResourceChange,
  SnapshotSource,
  WantedFleet,
} from "./fleet-ports.ts";
export { createFleetService, fleetMigrations } from "./fleet-service.ts";
export type { LauncherOptions } from "./launcher/process-launcher.ts";

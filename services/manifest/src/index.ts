export type {
  AgentCatalog,
  ApplyOptions,
  FieldDifference,
  FleetContent,
  LastChange,
  ManifestPorts,
  ResourceChange,
  WantedCatalog,
  WantedFleet,
} from "./manifest-ports.ts";
export { createManifestService, type ManifestServiceOptions, type ManifestServiceParts } from "./manifest-service.ts";

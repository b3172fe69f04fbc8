export type { ApplyOptions, ManifestPorts, ResourceChange } from "./apply.ts";
export { createManifestService, type ManifestServiceOptions, type ManifestServiceParts } from "./manifest-service.ts";

export type { ApplyOptions, ManifestPorts, ResourceChange } from "./apply.ts";
export {
  createManifestService,
  type Caller,
  type ManifestServiceOptions,
  type ManifestServiceParts,
} from "./manifest-service.ts";

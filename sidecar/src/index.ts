export { readSidecarConfig, type SidecarConfig } from "./config.ts";
export { createSidecar, type Sidecar, type SidecarEnd, type SidecarOptions } from "./sidecar.ts";

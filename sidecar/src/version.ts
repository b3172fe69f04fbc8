import manifest from "../package.json" with { type: "json" };

/** The version of this sidecar, as its package says. */
export const SIDECAR_VERSION: string = manifest.version;

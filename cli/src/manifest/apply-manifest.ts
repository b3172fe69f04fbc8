import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";
import { planManifest, sendManifest } from "./manifest-calls.ts";
import type { PreparedManifest } from "./prepared-manifest.ts";
import { uploadBundles } from "./upload-bundles.ts";

/** Applies a manifest without showing it to anybody, as `hermit up` does. Deletes nothing. Throws as planManifest. */
export async function applyManifest(
  cli: Cli,
  gateway: Gateway,
  manifest: PreparedManifest,
  signal: AbortSignal,
): Promise<void> {
  // The plan says which skills the gateway does not have yet.
  if (manifest.skills.size > 0) {
    const { changes } = await planManifest(cli, gateway, manifest, false);
    await uploadBundles(cli, gateway, manifest, changes, signal);
  }
  await sendManifest(cli, gateway, manifest, { signal });
}

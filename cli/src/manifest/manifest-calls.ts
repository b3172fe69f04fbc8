import type {
  ApplyManifestResponse,
  DetectDriftResponse,
  PlanManifestResponse,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Cli } from "../cli.ts";
import { errorDetail } from "../error-report.ts";
import type { Gateway } from "../gateway-client.ts";
import { problemsError, problemsOf } from "./manifest-problems.ts";
import type { PreparedManifest } from "./prepared-manifest.ts";

/** Comparing and applying thousands of resources may take longer than other calls. In milliseconds. */
const TIMEOUT_MS = 120_000;

/** What an apply would change. Throws CliError with every problem at its line when the manifest has some. */
export function planManifest(
  cli: Cli,
  gateway: Gateway,
  { source, message }: PreparedManifest,
  prune: boolean,
): Promise<PlanManifestResponse> {
  const call = gateway.manifest.planManifest({ manifest: message, prune }, { timeoutMs: TIMEOUT_MS });
  return call.catch(withProblems(cli, source));
}

/** Where the fleet differs. Throws as planManifest. */
export function detectDrift(
  cli: Cli,
  gateway: Gateway,
  { source, message }: PreparedManifest,
): Promise<DetectDriftResponse> {
  const call = gateway.manifest.detectDrift({ manifest: message }, { timeoutMs: TIMEOUT_MS });
  return call.catch(withProblems(cli, source));
}

/** Applies a manifest; with a token that plan or nothing. Throws as planManifest. */
export function sendManifest(
  cli: Cli,
  gateway: Gateway,
  { source, message }: PreparedManifest,
  options: { prune?: boolean; planToken?: string; signal?: AbortSignal },
): Promise<ApplyManifestResponse> {
  const { prune = false, planToken = "", signal } = options;
  const call = gateway.manifest.applyManifest(
    { source: message, prune, planToken },
    { timeoutMs: TIMEOUT_MS, ...(signal && { signal }) },
  );
  return call.catch(withProblems(cli, source));
}

/** Whether the fleet, or the manifest, is no longer as it was when the plan was made. */
export const isStale = (error: unknown): boolean => errorDetail(error)?.reason === "PLAN_STALE";

const withProblems =
  (cli: Cli, source: PreparedManifest["source"]) =>
  (error: unknown): never => {
    const problems = problemsOf(error);
    throw problems.length === 0 ? error : problemsError(cli.terminal, source, problems, error);
  };

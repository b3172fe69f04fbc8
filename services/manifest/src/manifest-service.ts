import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { callerName, type Caller, type RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import { ManifestService, type Manifest } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Log } from "@openhermit/telemetry";
import { applyManifest } from "./apply.ts";
import { compareAgents } from "./compare.ts";
import { detectDrift } from "./drift.ts";
import { exportManifest } from "./export.ts";
import { changeMessages, driftMessages, invalidManifest, requestedManifest } from "./manifest-messages.ts";
import type { ManifestPorts } from "./manifest-ports.ts";
import { createRuleCheck } from "./message-rules.ts";
import { planManifest, type PlanResult } from "./plan.ts";

/** The largest answer, bytes: a plan or drift within its budget of text, or the export of a large fleet. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** What the service is made of. */
export interface ManifestServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  /** Writes what a call changes into the audit trail. */
  audit: (context: HandlerContext) => RecordChanges;
  ports: ManifestPorts;
}

/** The manifest domain: it owns no rows, only the reading and writing of manifests. */
export interface ManifestServiceParts {
  routes(router: ConnectRouter): void;
}

/** Serves openhermit.manifest.v1.ManifestService. */
export function createManifestService(options: ManifestServiceOptions): ManifestServiceParts {
  const { database, log, ports } = options;
  const parts = { database, ports, checkRules: createRuleCheck() };
  const callOf = (manifest: Manifest, context: HandlerContext) => ({
    manifest,
    context,
    caller: options.caller(context),
  });
  const planned = (manifest: Manifest, result: PlanResult) => {
    if (result.kind === "invalid") throw invalidManifest(manifest, result.problems);
    return { ...changeMessages(result.changes), planToken: result.token };
  };
  return {
    routes: (router) => {
      const implementation: ServiceImpl<typeof ManifestService> = {
        planManifest: async ({ manifest, prune }, context) => {
          const source = sent(manifest);
          return planned(source, await planManifest(parts, callOf(source, context), prune));
        },
        applyManifest: async (request, context) => {
          const source = requestedManifest(request);
          const call = callOf(source, context);
          const { dryRun, prune, planToken } = request;
          if (dryRun) return planned(source, await planManifest(parts, call, prune));
          const record = options.audit(context);
          const response = planned(source, await applyManifest(parts, { ...call, prune, planToken, record }));
          const fields = { caller: callerName(call.caller), file_name: source.files[0]?.name ?? "" };
          log.info({ ...fields, files: source.files.length, changes: response.changes.length }, "manifest applied");
          return response;
        },
        detectDrift: async ({ manifest }, context) => {
          const source = sent(manifest);
          const result = await detectDrift(parts, callOf(source, context));
          if (result.kind === "invalid") throw invalidManifest(source, result.problems);
          return { drifts: driftMessages(result.drifts), unchangedCount: result.unchangedCount };
        },
        exportManifest: async ({ agentIds, skillPaths }, context) => {
          const call = { context, caller: options.caller(context) };
          const { text, skillIds, plainValueCount } = await exportManifest(parts, call, { agentIds, skillPaths });
          return { manifest: text, skillIds, plainValueCount };
        },
        compareAgents: async ({ agentId, otherAgentId }, context) => ({
          fields: await compareAgents(parts, options.caller(context), [agentId, otherAgentId]),
        }),
      };
      router.service(ManifestService, implementation, { writeMaxBytes: MAX_ANSWER_BYTES });
    },
  };
}

/** The rules of the contract have refused a request without it. */
function sent(manifest: Manifest | undefined): Manifest {
  if (manifest === undefined) throw new Error("the request has no manifest");
  return manifest;
}

import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { callerName, type Caller, type RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import {
  ApplyManifestResponseSchema,
  ChangeAction,
  ManifestProblemsSchema,
  ManifestService,
  type ApplyManifestRequest,
  type ApplyManifestResponse,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Log } from "@openhermit/telemetry";
import { applyManifest, type ManifestPorts } from "./apply.ts";
import { createRuleCheck } from "./message-rules.ts";
import type { Problem } from "./problem-list.ts";

/** What the service is made of. */
export interface ManifestServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  /** Writes what a call changes into the audit trail. */
  audit: (context: HandlerContext) => RecordChanges;
  ports: ManifestPorts;
}

/** The manifest domain: it owns no rows, only the reading of manifests. */
export interface ManifestServiceParts {
  routes(router: ConnectRouter): void;
  close(): Promise<void>;
}

/** Serves openhermit.manifest.v1.ManifestService. */
export function createManifestService(options: ManifestServiceOptions): ManifestServiceParts {
  const { database, log, ports } = options;
  const checkRules = createRuleCheck();
  return {
    routes: (router) => {
      router.service(ManifestService, {
        applyManifest: async (request, context) => {
          const { manifest: text, baseDirectory, dryRun } = request;
          const caller = options.caller(context);
          const result = await applyManifest(database, ports, checkRules, {
            text,
            baseDirectory,
            dryRun,
            caller,
            record: options.audit(context),
            mayWrite: (resource, id) => ports.may(context, resource, "write", id),
          });
          if (result.kind === "invalid") throw invalidManifest(request, result.problems);
          const response = encode(result.changes);
          const fields = { caller: callerName(caller), file_name: request.fileName };
          log.info({ ...fields, dry_run: dryRun, changes: response.changes.length }, "manifest applied");
          return response;
        },
      });
    },
    close: async () => {},
  };
}

type Applied = Extract<Awaited<ReturnType<typeof applyManifest>>, { kind: "applied" }>["changes"];

function encode(applied: Applied): ApplyManifestResponse {
  const changed = applied.filter(({ change }) => change.action !== "none");
  return create(ApplyManifestResponseSchema, {
    unchangedCount: applied.length - changed.length,
    changes: changed.map(({ resourceType, change }) => ({
      action: change.action === "create" ? ChangeAction.CREATE : ChangeAction.UPDATE,
      resourceType,
      resourceId: change.id,
      fields: change.action === "create" ? [] : change.fields.map((field) => ({ ...field })),
    })),
  });
}

/** A ConnectError rather than a MeshError, since it carries the list of problems as a second detail. */
function invalidManifest({ fileName }: ApplyManifestRequest, problems: readonly Problem[]): ConnectError {
  const name = fileName === "" ? "the manifest" : fileName;
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const hint = "Mend what is listed and apply again; nothing was changed.";
  return new ConnectError(`${name} has ${count}`, Code.InvalidArgument, undefined, [
    { desc: ErrorDetailSchema, value: { reason: "MANIFEST_INVALID", hint, fields: { file_name: fileName } } },
    {
      desc: ManifestProblemsSchema,
      value: {
        problems: problems.map(({ at, path, message, hint: todo }) => ({
          fileName,
          line: at.line,
          column: at.column,
          path,
          message,
          hint: todo,
        })),
      },
    },
  ]);
}

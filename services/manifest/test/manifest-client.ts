import { Code, ConnectError, createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import type { RecordChanges } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import type { Database } from "@openhermit/postgres";
import {
  ManifestProblemsSchema,
  ManifestService,
  type Change,
  type FieldChange,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { testCaller, testLog, type TestCaller } from "@openhermit/testing";
import { createManifestService } from "../src/manifest-service.ts";
import { recordFor, storedDomains, type DomainOptions } from "./stored-domains.ts";

const CODES: Partial<Record<string, Code>> = {
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  invalid_argument: Code.InvalidArgument,
};

/** Calls the service for a caller, over domains that only store. Errors say `REASON: message`. */
export function manifestClient(
  database: Database,
  options: DomainOptions & { caller?: TestCaller; record?: RecordChanges } = {},
): Client<typeof ManifestService> {
  const { caller = testCaller(), record = recordFor(caller.name), ...domains } = options;
  const service = createManifestService({
    database,
    log: testLog(),
    caller: () => caller,
    audit: () => record,
    ports: storedDomains(domains),
  });
  const transport = createRouterTransport((router) => service.routes(router), {
    router: {
      interceptors: [
        (next) => (request) =>
          next(request).catch((error: unknown) => {
            if (!(error instanceof MeshError)) throw error;
            throw new ConnectError(`${error.reason}: ${error.message}`, CODES[error.code] ?? Code.Aborted);
          }),
      ],
    },
  });
  return createClient(ManifestService, transport);
}

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(() => {
    throw new Error("the call was answered");
  }, ConnectError.from);
}

/** The problems that a call ends with, as `file:line:column path: message`. */
export async function problemsOf(call: Promise<unknown>): Promise<string[]> {
  const [detail] = (await errorOf(call)).findDetails(ManifestProblemsSchema);
  return (detail?.problems ?? []).map(
    ({ fileName, line, column, path, message }) => `${fileName}:${line}:${column} ${path}: ${message}`,
  );
}

const SIGNS = ["", "+", "~", "-"];

/** Changes as lines: `~ agent one`, each with its fields. */
export function changeLines(changes: readonly Change[]): string[] {
  return changes.flatMap(({ action, resourceType, resourceId, fields }) => [
    `${SIGNS[action]} ${resourceType} ${resourceId}`,
    ...fieldLines(fields),
  ]);
}

/** Fields as lines: `  model: a → b`. */
export function fieldLines(fields: readonly FieldChange[]): string[] {
  return fields.map(({ path, before, after }) => `  ${path}: ${before} → ${after}`);
}

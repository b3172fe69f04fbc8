import { Code, ConnectError } from "@connectrpc/connect";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import {
  ChangeAction,
  DriftKind,
  ManifestProblemsSchema,
  ManifestSchema,
  type ApplyManifestRequest,
  type ChangeSchema,
  type DriftSchema,
  type Manifest,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import type { ResourceDrift } from "./drift.ts";
import { createFieldBudget } from "./field-budget.ts";
import { fileTitle } from "./manifest-document.ts";
import type { PlannedChange } from "./planned-change.ts";
import type { Problem } from "./problem-list.ts";

const ACTIONS = { create: ChangeAction.CREATE, update: ChangeAction.UPDATE, delete: ChangeAction.DELETE };
const KINDS = { changed: DriftKind.CHANGED, added: DriftKind.ADDED, missing: DriftKind.MISSING };

/** What changes, and how much does not. */
export function changeMessages(planned: readonly PlannedChange[]): {
  changes: MessageInitShape<typeof ChangeSchema>[];
  unchangedCount: number;
} {
  const shown = createFieldBudget();
  const changes = planned.flatMap(({ resourceType, change: { id, action, fields } }) =>
    action === "none" || action === "refused"
      ? []
      : [{ action: ACTIONS[action], resourceType, resourceId: id, fields: shown(fields) }],
  );
  return { changes, unchangedCount: planned.length - changes.length };
}

/** What differs, and who did it. */
export function driftMessages(drifts: readonly ResourceDrift[]): MessageInitShape<typeof DriftSchema>[] {
  const shown = createFieldBudget();
  return drifts.map(({ kind, resourceType, id, fields, lastChange }) => ({
    kind: KINDS[kind],
    resourceType,
    resourceId: id,
    fields: shown(fields),
    ...(lastChange && {
      actor: lastChange.actor,
      time: timestampFromDate(lastChange.time),
      action: lastChange.action,
    }),
  }));
}

/** The manifest of a request, whose short form is one file. */
export function requestedManifest({ source, manifest, fileName, baseDirectory }: ApplyManifestRequest): Manifest {
  return source ?? create(ManifestSchema, { files: [{ name: fileName, text: manifest, baseDirectory }] });
}

/** A ConnectError rather than a MeshError, since it carries the list of problems as a second detail. */
export function invalidManifest({ files }: Manifest, problems: readonly Problem[]): ConnectError {
  const concerned = [...new Set(problems.map(({ at }) => at.file))];
  const name = concerned.length === 1 ? fileTitle(files, concerned[0] ?? 0) : "the manifest";
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const hint = "Mend what is listed, then try again; nothing was changed.";
  const fileNames = concerned.map((file) => files[file]?.name ?? "");
  return new ConnectError(`${name} has ${count}`, Code.InvalidArgument, undefined, [
    {
      desc: ErrorDetailSchema,
      value: { reason: "MANIFEST_INVALID", hint, fields: { file_name: fileNames.slice(0, 10).join(", ") } },
    },
    {
      desc: ManifestProblemsSchema,
      value: {
        problems: problems.map(({ at, path, message, hint: todo }) => ({
          fileName: files[at.file]?.name ?? "",
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

import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type { FieldChange } from "@openhermit/caller";
import { alreadyExists, invalidArgument, notFound, type MeshError } from "@openhermit/errors";
import type { ServiceAccount } from "@openhermit/protocol/access/v1/service_account";
import { Role } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import { roleName } from "../rights/role-name.ts";

/** What of a service account can be changed. */
export interface ServiceAccountTraits {
  readonly displayName: string;
  readonly role: Role;
  readonly disabled: boolean;
}

/** A service account as stored. */
export interface StoredServiceAccount extends ServiceAccountTraits {
  readonly id: string;
  /** Ordered. */
  readonly teamIds: readonly string[];
  readonly creator: SubjectRef;
  readonly createTime: Date;
}

const PATHS = ["display_name", "role", "disabled"] as const;
type Path = (typeof PATHS)[number];

/** The error of a service account that does not exist, or that the caller may not see. */
export function serviceAccountNotFound(id: string): MeshError {
  return notFound("SERVICE_ACCOUNT_NOT_FOUND", `service account "${id}" does not exist`, {
    hint: "hermit service-accounts list shows those that you may see.",
    fields: { service_account_id: id },
  });
}

/** The error of an id in use. */
export function serviceAccountExists(id: string): MeshError {
  return alreadyExists("SERVICE_ACCOUNT_EXISTS", `service account "${id}" exists already`, {
    fields: { service_account_id: id },
  });
}

/** What a new account is: a viewer, if the request says nothing. */
export function newTraits({ id, displayName, role, disabled }: ServiceAccount): ServiceAccountTraits {
  const name = displayName.trim();
  return { displayName: name === "" ? id : name, role: role === Role.UNSPECIFIED ? Role.VIEWER : role, disabled };
}

/** What an account should be: what the mask names, or what is set. Errors: UPDATE_MASK_INVALID, REQUEST_INVALID. */
export function wantedTraits(
  before: ServiceAccountTraits,
  request: ServiceAccount,
  mask: FieldMask | undefined,
): ServiceAccountTraits {
  const paths = new Set(mask?.paths ?? []);
  for (const path of paths) {
    if ((PATHS as readonly string[]).includes(path)) continue;
    throw invalidArgument("UPDATE_MASK_INVALID", `update_mask names "${path.slice(0, 80)}", which can't be updated`, {
      hint: `Use ${PATHS.join(", ")}.`,
      fields: { service_account_id: request.id, path: path.slice(0, 80) },
    });
  }
  if (paths.has("role") && request.role === Role.UNSPECIFIED) {
    throw invalidArgument("REQUEST_INVALID", "service_account.role: a role is needed", {
      fields: { field: "service_account.role" },
    });
  }
  const asked = (path: Path, isSet: boolean): boolean => (paths.size === 0 ? isSet : paths.has(path));
  const wanted = newTraits(request);
  return {
    displayName: asked("display_name", request.displayName !== "") ? wanted.displayName : before.displayName,
    role: asked("role", request.role !== Role.UNSPECIFIED) ? wanted.role : before.role,
    disabled: asked("disabled", request.disabled) ? wanted.disabled : before.disabled,
  };
}

/** What differs, for the audit trail. */
export function changedTraits(before: ServiceAccountTraits | undefined, after: ServiceAccountTraits): FieldChange[] {
  const all: FieldChange[] = [
    { path: "displayName", before: before?.displayName ?? "", after: after.displayName },
    { path: "role", before: before === undefined ? "" : roleName(before.role), after: roleName(after.role) },
    { path: "disabled", before: String(before?.disabled ?? false), after: String(after.disabled) },
  ];
  return all.filter((field) => field.before !== field.after);
}

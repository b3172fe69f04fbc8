export type {
  AccessPorts,
  AccessService,
  AccessServiceOptions,
  Attempt,
  Decision,
  Denial,
  ExternalIdentity,
  Logins,
  NewCode,
  NewSession,
  ScopedMethod,
} from "./access-ports.ts";
export { subjectName } from "./access-call.ts";
export type { ChangeTarget, LastChange } from "./audit/last-changes-store.ts";
export { accessMigrations } from "./access-migrations.ts";
export { createAccessService } from "./access-service.ts";
export type { Actor, Credential, Principal, Scope, SubjectRef } from "./principal.ts";
export { RESOURCES, type ResourceRights, type RightVerb } from "./rights/resources.ts";
export { listScopes } from "./rights/scope-list.ts";
export { formatScope } from "./rights/scope.ts";

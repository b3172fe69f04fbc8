import { create } from "@bufbuild/protobuf";
import { ScopeSchema, type Scope as ScopeMessage } from "@openhermit/protocol/access/v1/token";
import type { ScopedMethod } from "../access-ports.ts";
import { RESOURCES, roleFor } from "./resources.ts";
import { formatScope, opens, plainScopes } from "./scope.ts";

/**
 * All scopes that can be given to a token, ordered, with the methods each opens. Throws for a method whose right stands in
 * no table: nobody could call it.
 */
export function listScopes(methods: readonly ScopedMethod[]): ScopeMessage[] {
  for (const { name, resource, verb } of methods) {
    if (roleFor(resource, verb) === undefined) throw new Error(`${name} needs ${resource}:${verb}, which no role has`);
  }
  return plainScopes().map((scope) =>
    create(ScopeSchema, {
      scope: formatScope(scope),
      selector: RESOURCES.get(scope.resource)?.selector ?? "",
      methods: methods
        .filter(({ resource, verb }) => opens(scope, resource, verb))
        .map(({ name }) => name)
        .toSorted(),
      role: roleFor(scope.resource, scope.verb) ?? 0,
    }),
  );
}

import { getOption, hasOption, type DescMethod } from "@bufbuild/protobuf";
import { permissionDenied, unauthenticated, type MeshError } from "@openhermit/errors";
import { access, Audience, Verb } from "@openhermit/protocol/common/v1/access";

import type { Caller } from "./caller.ts";
import { compileSelector, type Selector } from "./selector.ts";

/** Who may call one method. */
export interface AccessRule {
  readonly audience: Audience;
  readonly resource: string;
  readonly verb: Verb;
  /** Reads the id of the resource from a request; undefined for a method without one named resource. */
  readonly selector: Selector | undefined;
}

/** The access rules of the methods of the gateway. */
export interface AccessRules {
  /** The rule of a method. Undefined means: nobody may call it. */
  of(method: DescMethod): AccessRule | undefined;
}

/** Whether a principal holds a right. Users and roles will come in through this port. */
export type RightCheck = (
  caller: Extract<Caller, { kind: "principal" }>,
  right: { resource: string; verb: Verb; /** The id of the resource, empty for all. */ id: string },
) => boolean;

/** The operator may do everything; nobody else is a principal yet. */
export const operatorOnly: RightCheck = (caller) => caller.id === "operator";

// Contracts of others carry no option of ours.
const FOREIGN: Readonly<Record<string, Pick<AccessRule, "audience" | "resource" | "verb">>> = {
  "grpc.health.v1.Health": { audience: Audience.PUBLIC, resource: "", verb: Verb.READ },
  "grpc.reflection.v1.ServerReflection": { audience: Audience.PRINCIPAL, resource: "reflection", verb: Verb.READ },
  "grpc.reflection.v1alpha.ServerReflection": { audience: Audience.PRINCIPAL, resource: "reflection", verb: Verb.READ },
};

/** Creates the rules, read from the Access option of each method. A method without one is closed. */
export function createAccessRules(): AccessRules {
  const rules = new Map<DescMethod, AccessRule | undefined>();
  return {
    of(method) {
      if (!rules.has(method)) {
        rules.set(method, readRule(method));
      }
      return rules.get(method);
    },
  };
}

function readRule(method: DescMethod): AccessRule | undefined {
  const foreign = FOREIGN[method.parent.typeName];
  if (foreign !== undefined) {
    return { ...foreign, selector: undefined };
  }
  if (!hasOption(method, access)) {
    return undefined;
  }
  const { audience, resource, verb, selector } = getOption(method, access);
  if (audience === Audience.PRINCIPAL && (resource === "" || verb === Verb.UNSPECIFIED)) {
    return undefined;
  }
  return {
    audience,
    resource,
    verb,
    selector: selector === "" ? undefined : compileSelector(method.input, selector),
  };
}

/** Why the caller may not call at all, whatever the request says; undefined if it may. */
export function audienceError(rule: AccessRule | undefined, method: DescMethod, caller: Caller): MeshError | undefined {
  const name = methodName(method);
  switch (rule?.audience) {
    case Audience.PUBLIC:
      return undefined;
    case Audience.PRINCIPAL:
      return caller.kind === "principal" ? undefined : refusal(name, caller, "people and machine accounts");
    case Audience.SIDECAR:
      return caller.kind === "sidecar" ? undefined : refusal(name, caller, "sidecars");
    default:
      return permissionDenied("METHOD_CLOSED", `nobody may call ${name}: it has no access rule`);
  }
}

/** Why the caller may not make this request; undefined if it may. Presumes that its audience is right. */
export function rightError(
  rule: AccessRule,
  method: DescMethod,
  caller: Caller,
  request: object,
  holds: RightCheck,
): MeshError | undefined {
  if (rule.audience !== Audience.PRINCIPAL || caller.kind !== "principal") {
    return undefined;
  }
  const id = rule.selector?.(request) ?? "";
  if (holds(caller, { resource: rule.resource, verb: rule.verb, id })) {
    return undefined;
  }
  const right = `${rule.resource}:${rule.verb === Verb.READ ? "read" : "write"}`;
  return permissionDenied("RIGHT_MISSING", `${methodName(method)} needs the right ${right}, which ${caller.id} lacks`, {
    fields: { right, resource_id: id },
  });
}

function refusal(name: string, caller: Caller, audience: string): MeshError {
  return caller.kind === "anonymous"
    ? unauthenticated("CREDENTIAL_MISSING", `${name} needs a credential`, {
        hint: "send `authorization: Bearer <token>`, with the token in <home>/operator-token for a person",
      })
    : permissionDenied("AUDIENCE_WRONG", `${name} is for ${audience}`);
}

function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

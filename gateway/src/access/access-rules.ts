import { getOption, hasOption, type DescMethod } from "@bufbuild/protobuf";
import type { ScopedMethod } from "@openhermit/access-service";
import type { Caller } from "@openhermit/caller";
import { permissionDenied, unauthenticated, type MeshError } from "@openhermit/errors";
import { access, AgentBinding, Audience, Verb } from "@openhermit/protocol/common/v1/access";

import type { AccessPolicy } from "./access-policy.ts";
import { compileSelector, type Selector } from "./selector.ts";

/** Who may call one method. */
export type AccessRule =
  | { readonly audience: typeof Audience.PUBLIC | typeof Audience.SIDECAR }
  | {
      readonly audience: typeof Audience.PRINCIPAL;
      readonly resource: string;
      readonly verb: "read" | "write";
      /** Reads the id that a scope's selector is compared with; undefined for a method without one. */
      readonly selector: Selector | undefined;
      readonly agents: AgentBinding;
      /** Whether things of the resource belong to agents. */
      readonly agentBound: boolean;
      readonly recentLogin: boolean;
    };

/** The rule of a method for people and programs. */
export type PrincipalRule = Extract<AccessRule, { audience: typeof Audience.PRINCIPAL }>;

/** The access rules of the methods of the gateway. */
export interface AccessRules {
  /** The rule of a method. Undefined means: nobody may call it. */
  of(method: DescMethod): AccessRule | undefined;
}

interface Option {
  audience: Audience;
  resource: string;
  verb: Verb;
  selector: string;
  agents: AgentBinding;
  recentLogin: boolean;
}

const PUBLIC: Option = {
  audience: Audience.PUBLIC,
  resource: "",
  verb: Verb.UNSPECIFIED,
  selector: "",
  agents: AgentBinding.UNSPECIFIED,
  recentLogin: false,
};
const reads = (resource: string): Option => ({ ...PUBLIC, audience: Audience.PRINCIPAL, resource, verb: Verb.READ });

// Contracts of others carry no option of ours.
const FOREIGN: Readonly<Record<string, Option>> = {
  "grpc.health.v1.Health/Check": PUBLIC,
  "grpc.health.v1.Health/List": reads("health"),
  "grpc.health.v1.Health/Watch": reads("health"),
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": reads("reflection"),
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": reads("reflection"),
};

/**
 * Creates the rules of methods, read from the Access option of each. A method without one is closed. Throws for a rule that
 * does not say what it means: a resource nobody knows, a selector that does not fit, an agent without a selector.
 */
export function createAccessRules(
  methods: Iterable<DescMethod>,
  resources: AccessPolicy["resources"],
): AccessRules & {
  /** The methods that principals may call. */
  readonly scoped: readonly ScopedMethod[];
} {
  const rules = new Map<DescMethod, AccessRule>();
  const scoped: ScopedMethod[] = [];
  for (const method of methods) {
    const rule = readRule(method, resources);
    if (rule !== undefined) {
      rules.set(method, rule);
    }
    if (rule?.audience === Audience.PRINCIPAL) {
      scoped.push({ name: methodName(method), resource: rule.resource, verb: rule.verb });
    }
  }
  return { scoped, of: (method) => rules.get(method) };
}

function readRule(method: DescMethod, resources: AccessPolicy["resources"]): AccessRule | undefined {
  const option = FOREIGN[methodName(method)] ?? (hasOption(method, access) ? getOption(method, access) : undefined);
  switch (option?.audience) {
    case Audience.PUBLIC:
      return { audience: Audience.PUBLIC };
    case Audience.SIDECAR:
      return { audience: Audience.SIDECAR };
    case Audience.PRINCIPAL:
      return readPrincipalRule(method, option, resources);
    default:
      return undefined;
  }
}

function readPrincipalRule(method: DescMethod, option: Option, resources: AccessPolicy["resources"]): PrincipalRule {
  const { resource, verb, agents, recentLogin } = option;
  const wrong = (what: string) => new Error(`the access rule of ${methodName(method)} ${what}`);
  const known = resources.get(resource);
  if (known === undefined) {
    throw wrong(`names the resource "${resource}", which is not among the rights`);
  }
  if (verb !== Verb.READ && verb !== Verb.WRITE) {
    throw wrong("names no verb");
  }
  const word = verb === Verb.READ ? "read" : "write";
  if (known[word] === undefined) {
    throw wrong(`needs the right ${resource}:${word}, which no role has`);
  }
  if (agents === AgentBinding.SELECTED && (option.selector === "" || !known.agentBound)) {
    throw wrong("selects an agent without a selector, or for a resource that is not about agents");
  }
  if (agents === AgentBinding.UNSPECIFIED && known.agentBound && FOREIGN[methodName(method)] === undefined) {
    throw wrong(`does not say how "${resource}" is bound to agents`);
  }
  return {
    audience: Audience.PRINCIPAL,
    resource,
    verb: word,
    selector: option.selector === "" ? undefined : compileSelector(method.input, option.selector),
    agents,
    agentBound: known.agentBound,
    recentLogin,
  };
}

/** Why the caller may not call at all, whatever the request says; undefined if it may. */
export function audienceError(rule: AccessRule | undefined, method: DescMethod, caller: Caller): MeshError | undefined {
  switch (rule?.audience) {
    case Audience.PUBLIC:
      return undefined;
    case Audience.PRINCIPAL:
      return caller.kind === "principal" ? undefined : refusal(method, caller, "people and machine accounts");
    case Audience.SIDECAR:
      return caller.kind === "sidecar" ? undefined : refusal(method, caller, "sidecars");
    default:
      return permissionDenied("METHOD_CLOSED", `nobody may call ${methodName(method)}: it has no access rule`);
  }
}

/** `openhermit.fleet.v1.FleetService/GetAgent`. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

function refusal(method: DescMethod, caller: Caller, audience: string): MeshError {
  const name = methodName(method);
  return caller.kind === "anonymous"
    ? unauthenticated("CREDENTIAL_MISSING", `${name} needs a credential`, {
        hint: "log in with `hermit login`, or send `authorization: Bearer <token>`",
      })
    : permissionDenied("AUDIENCE_WRONG", `${name} is for ${audience}`);
}

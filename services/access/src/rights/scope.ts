import { invalidArgument, type MeshError } from "@openhermit/errors";
import type { Scope } from "../principal.ts";
import { RESOURCES, type RightVerb } from "./resources.ts";

/** The resource of a scope that means every resource. */
export const EVERY_RESOURCE = "*";

const SELECTOR = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** The scope as people write it: `agents:one:read`. */
export function formatScope({ resource, selector, verb }: Scope): string {
  return selector === "" ? `${resource}:${verb}` : `${resource}:${selector}:${verb}`;
}

/** Reads scopes, each once, in order. Errors: SCOPE_UNKNOWN for the first one that does not exist. */
export function parseScopes(texts: readonly string[]): Scope[] {
  const scopes = new Map(texts.map((text) => [text, parseScope(text)]));
  return [...scopes].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, scope]) => scope);
}

/** Reads a scope that may be given to a token. Errors: SCOPE_UNKNOWN, with the nearest one that exists. */
export function parseScope(text: string): Scope {
  const scope = splitScope(text);
  if (scope === undefined) throw scopeUnknown(text);
  const { resource, selector, verb } = scope;
  if (resource === EVERY_RESOURCE) {
    if (selector !== "") throw scopeUnknown(text);
    return scope;
  }
  const rights = RESOURCES.get(resource);
  const known = rights?.byScope === "yes" && rights[verb] !== undefined;
  if (!known || (selector !== "" && (rights.selector === "" || !SELECTOR.test(selector)))) throw scopeUnknown(text);
  return scope;
}

/**
 * Reads a scope as it was stored. One that this gateway does not know, of a newer or an older one, stays what it is and
 * opens nothing here. Undefined for what is no scope at all.
 */
export function splitScope(text: string): Scope | undefined {
  const parts = text.split(":");
  const [resource, verb] = [parts[0], parts.at(-1)];
  const selector = parts.length === 3 ? parts[1] : "";
  if (parts.length < 2 || parts.length > 3 || resource === undefined || resource === "") return undefined;
  if (verb !== "read" && verb !== "write") return undefined;
  if (selector === undefined || (parts.length === 3 && selector === "")) return undefined;
  return { resource, selector, verb };
}

/** Whether a scope opens a resource to a verb, on something. */
export function opens(scope: Scope, resource: string, verb: RightVerb): boolean {
  return (
    (scope.resource === resource || scope.resource === EVERY_RESOURCE) &&
    (scope.verb === verb || scope.verb === "write")
  );
}

/** Whether a scope opens a resource to a verb on this id: exactly this one, or all. */
export function opensOn(scope: Scope, resource: string, verb: RightVerb, id: string): boolean {
  return (scope.selector === "" || scope.selector === id) && opens(scope, resource, verb);
}

/** Whether all that the scope opens is opened by one of the others alone. */
export function isCovered(scope: Scope, by: readonly Scope[]): boolean {
  return by.some(
    (other) =>
      (other.resource === scope.resource || other.resource === EVERY_RESOURCE) &&
      (other.verb === scope.verb || other.verb === "write") &&
      (other.selector === "" || other.selector === scope.selector),
  );
}

/** All scopes without a selector, ordered. */
export function plainScopes(): Scope[] {
  const scopes: Scope[] = [];
  for (const [resource, { byScope, ...rights }] of [...RESOURCES].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (byScope !== "yes") continue;
    for (const verb of ["read", "write"] as const) {
      if (rights[verb] !== undefined) scopes.push({ resource, selector: "", verb });
    }
  }
  return scopes;
}

function scopeUnknown(text: string): MeshError {
  return invalidArgument("SCOPE_UNKNOWN", `there is no scope "${text}"`, {
    hint: hintFor(text),
    fields: { scope: text },
  });
}

function hintFor(text: string): string {
  const parts = text.split(":");
  const [resource, verb] = [parts[0] ?? "", parts.at(-1) ?? ""];
  const rights = RESOURCES.get(resource);
  if (rights?.byScope === "always") return `Every token may use ${resource}; leave the scope out.`;
  if (rights?.byScope === "never") return "Only the local operator has this right, and gives it to nobody.";
  if (parts.length > 2 && (resource === EVERY_RESOURCE || rights?.selector === "")) {
    return `${resource} takes no selector: try ${resource}:${verb}.`;
  }
  if (parts.length > 2 && parts[1] === "*") return `All of ${resource} is ${resource}:${verb}.`;
  const wanted = `${resource}:${parts.length > 1 ? verb : "read"}`;
  const known = [
    ...plainScopes(),
    ...(["read", "write"] as const).map((v) => ({ resource: "*", selector: "", verb: v })),
  ];
  const nearest = known
    .map((scope) => ({ name: formatScope(scope), distance: editDistance(wanted, formatScope(scope)) }))
    .toSorted((a, b) => a.distance - b.distance)[0];
  const guess = nearest !== undefined && nearest.distance <= 4 ? `Did you mean ${nearest.name}? ` : "";
  return `${guess}A scope is resource[:selector]:verb; hermit tokens scopes lists them.`;
}

/** Levenshtein's distance, of texts up to 200 characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

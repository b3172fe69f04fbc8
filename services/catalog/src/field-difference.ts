/** What stands for a value that may be secret. */
export const SENSITIVE = "(sensitive)";

/** One field that differs. */
export interface FieldDifference {
  /** By the keys of a manifest, for example `env.TOKEN`. */
  path: string;
  /** Empty: not set. */
  before: string;
  /** Empty: not set. */
  after: string;
  /** Whether a value may be secret; it is not shown. */
  sensitive: boolean;
}

/** One value of a thing. */
export interface FieldValue {
  /** The value itself, to compare. */
  readonly text: string;
  /** The value as everybody may see it. */
  readonly shown: string;
  /** Whether something of it is not shown. */
  readonly sensitive: boolean;
}

/** A value that everybody may see. */
export function plainValue(text: string): FieldValue {
  return { text, shown: text, sensitive: false };
}

/** In what two things differ; undefined for one that is not there. In the order of their fields. */
export function differencesOf(
  before: ReadonlyMap<string, FieldValue> | undefined,
  after: ReadonlyMap<string, FieldValue> | undefined,
): FieldDifference[] {
  const paths = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])];
  return paths.flatMap((path) => {
    const [old, now] = [before?.get(path), after?.get(path)];
    if (old?.text === now?.text) return [];
    const sensitive = old?.sensitive === true || now?.sensitive === true;
    return [{ path, before: old?.shown ?? "", after: now?.shown ?? "", sensitive }];
  });
}

/** The fields of an assignment: `*` alone as in a manifest, else a list. What is empty is not set. */
export function assignmentFields(agents: readonly string[], disabledAgents: readonly string[]): [string, FieldValue][] {
  const fields: [string, FieldValue][] = [];
  if (agents.length > 0) {
    fields.push(["agents", plainValue(agents.length === 1 && agents[0] === "*" ? "*" : JSON.stringify(agents))]);
  }
  if (disabledAgents.length > 0) fields.push(["disabledAgents", plainValue(JSON.stringify(disabledAgents))]);
  return fields;
}

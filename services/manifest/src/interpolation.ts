import { didYouMean } from "@openhermit/nearest-name";
import { isSecretName, secretReferences, withoutReferences } from "@openhermit/secret-reference";
import type { ManifestPath } from "./manifest-node.ts";
import type { ProblemList } from "./problem-list.ts";

/** `$${`, or `${` with all up to the first `}`; the closing one is missing at the end of a text that has none. */
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]{0,127})(?::-([\s\S]*))?$/;
/** What stands before the name of a secret. */
const SECRET = "secret.";

/** Replaces variables in a value. `secrets`: whether `${secret.NAME}` may stand there; it is left as it is. */
export type Interpolate = (value: string, path: ManifestPath, options: { secrets: boolean }) => string;

/**
 * Makes what replaces `${NAME}` and `${NAME:-fallback}` by the values sent, for declared names alone, and `$${` by `${`.
 * The fallback counts where the variable is unset or empty. What can't be replaced is a problem; a value is never told.
 */
export function createInterpolation(
  declared: readonly string[],
  sent: Readonly<Record<string, string>>,
  problems: ProblemList,
): Interpolate {
  const names = new Set(declared);
  return (value, path, { secrets }) =>
    value.replace(REFERENCE, (whole: string, inner: string | undefined, end: string | undefined) => {
      if (inner === undefined) return "${";
      const shown = whole.slice(0, 80);
      if (end === "") {
        problems.add(path, `"${shown}" has no end`, "close it with }, or write $${ for the characters themselves");
        return whole;
      }
      if (inner.startsWith(SECRET)) {
        if (!isSecretName(inner.slice(SECRET.length))) {
          const rule = "capitals, digits and _, ending in KEY, TOKEN, SECRET or PASSWORD; none of OPENHERMIT_";
          problems.add(path, `${shown} is not a secret's name`, rule);
        } else if (!secrets) {
          problems.add(path, `${shown} has no use here`, "secrets stand in the values of env and headers");
        }
        return whole;
      }
      const [, name, fallback] = VARIABLE.exec(inner) ?? [];
      if (name === undefined) {
        const hint = "write ${NAME} or ${NAME:-fallback}, or $${ for the characters themselves";
        problems.add(path, `${shown} is not a variable`, hint);
        return whole;
      }
      if (!names.has(name)) {
        const otherwise = `add ${name} under environment:, or write $\${ for the characters themselves`;
        problems.add(path, `variable ${name} is not declared`, () => didYouMean(name, names, otherwise));
        return whole;
      }
      const found = Object.hasOwn(sent, name) ? sent[name] : undefined;
      if (found !== undefined && (found !== "" || fallback === undefined)) return found;
      if (fallback !== undefined) return fallback;
      problems.add(path, `variable ${name} is not set`, `set ${name} in the environment of the command`);
      return whole;
    });
}

/** Whether a value holds a `${` that is no reference to a secret: where secrets are replaced that can't be kept. */
export function hasStrayVariable(value: string): boolean {
  return withoutReferences(value, " ").includes("${");
}

/** The text that reads back as the value where variables are replaced. */
export function escapeVariables(value: string, { secrets }: { secrets: boolean }): string {
  const escape = (part: string): string => part.replaceAll("${", "$$$${");
  if (!secrets) return escape(value);
  let written = "";
  let done = 0;
  for (const { index, text } of secretReferences(value)) {
    // After a $ the reference would be read as an escape.
    if (value[index - 1] === "$") continue;
    written += escape(value.slice(done, index)) + text;
    done = index + text.length;
  }
  return written + escape(value.slice(done));
}

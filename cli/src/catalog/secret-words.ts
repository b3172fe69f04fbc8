import { isPlainValue, isSecretName } from "@openhermit/secret-reference";
import { CliError } from "../cli-error.ts";

/** Whether the name of a variable or a header says that its value is secret. */
export const soundsSecret = (name: string): boolean =>
  /(key|token|secret|password|authorization|cookie|credentials?)$/i.test(name);

/** Whether a value may be secret as it stands: by its name, and unless it refers to a secret. */
export function looksSecret(name: string, value: string): boolean {
  return soundsSecret(name) && isPlainValue(value);
}

/** A value as it may be shown. */
export const shownSecret = (name: string, value: string): string => (looksSecret(name, value) ? "(sensitive)" : value);

/** What a value is written as that a sidecar takes from its secrets. Throws CliError for a name that is none. */
export function secretReference(name: string): string {
  if (isSecretName(name)) return `\${secret.${name}}`;
  const next =
    "choose a name in capitals that ends in KEY, TOKEN, SECRET or PASSWORD, and not with OPENHERMIT_ before it";
  throw new CliError(`"${name.slice(0, 60)}" is no name of a secret`, { next });
}

// Where a manifest, a command, the catalogue and a sidecar read `${secret.NAME}` they must agree to the letter: what one takes for
// a reference and another does not is a value that stands in a plan, or a name that is sent in its own place.
const NAME = "(?!OPENHERMIT_)[A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD)";
const ONLY_NAME = new RegExp(`^${NAME}$`);
const REFERENCE = new RegExp(`\\$\\{secret\\.(${NAME})\\}`, "g");
const ONLY_REFERENCE = new RegExp(`^\\$\\{secret\\.${NAME}\\}$`);
/** A header's value may begin with the name of a scheme, which is no secret. */
const SCHEME = /^\s*(?:(?:Bearer|Basic|Token)\s*)?$/i;

/** A reference to a secret, where it stands in a value. */
export interface SecretReference {
  readonly name: string;
  /** As it stands: `${secret.NAME}`. */
  readonly text: string;
  readonly index: number;
}

/** Whether a text names a secret: capitals, digits and `_`, ending in KEY, TOKEN, SECRET or PASSWORD; none of the product's own variables. */
export function isSecretName(text: string): boolean {
  return ONLY_NAME.test(text);
}

/** The references in a value, in order. */
export function secretReferences(value: string): SecretReference[] {
  return [...value.matchAll(REFERENCE)].map(({ 0: text, 1: name = "", index }) => ({ name, text, index }));
}

/** The value with something else in the place of each reference. */
export function withoutReferences(value: string, instead: string): string {
  return value.replaceAll(REFERENCE, () => instead);
}

/** Whether a value is nothing but a reference, and so no secret itself. */
export function isOnlyReference(value: string): boolean {
  return ONLY_REFERENCE.test(value);
}

/** Whether a value holds more than references and the name of a scheme, and so may itself be secret. */
export function isPlainValue(value: string): boolean {
  return !SCHEME.test(withoutReferences(value, ""));
}

export { bareUrl } from "./bare-url.ts";
export {
  isOnlyReference,
  isPlainValue,
  isSecretName,
  secretReferences,
  withoutReferences,
  type SecretReference,
} from "./secret-reference.ts";

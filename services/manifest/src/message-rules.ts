import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { createValidator, type Validator, type Violation } from "@bufbuild/protovalidate";
import type { ManifestPath } from "./manifest-node.ts";
import type { ProblemList } from "./problem-list.ts";

/** Message fields that group what a manifest writes at one level. */
const LEVELS = new Set(["spec", "transport", "stdio", "http"]);

/** Fields that compiling checks itself, with better words. */
const CHECKED_BEFORE = new Set(["id", "name", "model"]);

/** Checks a compiled message and adds what breaks a rule to the problems. */
export type CheckRules = <Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  path: ManifestPath,
  problems: ProblemList,
  placeOf?: (field: ManifestPath) => ManifestPath,
) => void;

/**
 * Checks compiled messages against the rules of their contracts, so that these stand in one place: the protos. A place
 * that already has a problem is left alone. `placeOf` maps a field of the message to its place in the manifest.
 */
export function createRuleCheck(): CheckRules {
  // Made when first used: compiling the rules takes time that a start does not have.
  let validator: Validator | undefined;
  return (schema, message, path, problems, placeOf = (field) => [...path, ...field]) => {
    validator ??= createValidator();
    const result = validator.validate(schema, message);
    if (result.kind === "error") throw result.error;
    if (result.kind === "valid") return;
    for (const violation of result.violations) {
      const field = manifestField(violation);
      if (field.length === 0 || CHECKED_BEFORE.has(String(field[0]))) continue;
      const place = placeOf(field);
      if (problems.touches(place)) continue;
      problems.add(place, violation.message, "", violation.forKey ? "key" : "value");
    }
  };
}

/** The place within the resource, in the words of a manifest. */
function manifestField(violation: Violation): (string | number)[] {
  const field: (string | number)[] = [];
  for (const step of violation.field) {
    if (step.kind === "list_sub") field.push(step.index);
    else if (step.kind === "map_sub") field.push(String(step.key));
    else if (step.kind === "oneof" || LEVELS.has(step.name)) continue;
    else if (step.kind === "field") field.push(step.jsonName);
  }
  return field;
}

import type { DescMessage } from "@bufbuild/protobuf";

/** Reads the id that a request is about; empty when the request does not set it. */
export type Selector = (request: object) => string;

/**
 * Compiles the path of a string field, for example `agent.id`. Throws when the message has no such field: a rule
 * that can't be read must not open a method.
 */
export function compileSelector(message: DescMessage, path: string): Selector {
  const steps: ((value: object) => unknown)[] = [];
  let current: DescMessage | undefined = message;
  for (const name of path.split(".")) {
    const field: DescMessage["fields"][number] | undefined = current?.fields.find((one) => one.name === name);
    if (field === undefined) {
      throw new Error(`the selector "${path}" does not fit ${message.typeName}: no field "${name}"`);
    }
    const { localName, oneof } = field;
    steps.push((value) => {
      if (oneof === undefined) {
        return (value as Record<string, unknown>)[localName];
      }
      const chosen = (value as Record<string, { case: string | undefined; value?: unknown }>)[oneof.localName];
      return chosen?.case === localName ? chosen.value : undefined;
    });
    current = field.fieldKind === "message" ? field.message : undefined;
  }
  return (request) => {
    let value: unknown = request;
    for (const step of steps) {
      if (typeof value !== "object" || value === null) {
        return "";
      }
      value = step(value);
    }
    return typeof value === "string" ? value : "";
  };
}

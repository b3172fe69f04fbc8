import type { FieldDifference } from "./manifest-ports.ts";

/** The most text of one answer that stands there whole, in UTF-16 units; UTF-8 may need three bytes for one. */
const BUDGET = 3 * 1024 * 1024;
/** What is shown of a longer value once the budget is spent. */
const SHORT = 400;

/**
 * Makes the fields of one answer after the other fit a message: thousands of instructions may differ at once. Values stand there
 * whole as long as there is room; after that long ones are cut, and say how long they are.
 */
export function createFieldBudget(): (fields: readonly FieldDifference[]) => FieldDifference[] {
  let left = BUDGET;
  const fit = (value: string): string => {
    if (value.length <= SHORT) return value;
    left -= value.length;
    if (left >= 0) return value;
    // The last character may be halved by the cut.
    return `${value.slice(0, SHORT).replace(/[\uD800-\uDBFF]$/, "")}… (${value.length} characters)`;
  };
  return (fields) => fields.map((field) => ({ ...field, before: fit(field.before), after: fit(field.after) }));
}

import { expect, it } from "vitest";
import { createFieldBudget } from "./field-budget.ts";

const field = (text: string) => ({ path: "instructions", before: text, after: text, sensitive: false });

it("leaves values whole as long as there is room, then cuts the long ones and says how long they are", () => {
  const shown = createFieldBudget();
  const long = "x".repeat(1024 * 1024);
  expect(shown([field(long)])).toEqual([field(long)]);
  const [cut, short] = shown([field(`${"y".repeat(399)}😀${long}`), field("short")]);
  expect(cut?.before).toBe(`${"y".repeat(399)}… (1048977 characters)`);
  expect(cut?.after).toBe(cut?.before);
  expect(short).toEqual(field("short"));
});

import { expect, test } from "vitest";
import { sampleActor, sampleDenial } from "../test/sample-audit.ts";
import { createDenialBuffer, type HeldDenials } from "./denial-buffer.ts";

const at = (seconds: number): Date => new Date(1_000_000 + seconds * 1000);
const brief = (held: readonly HeldDenials[]) =>
  held.map(({ denial, count }) => `${denial.actor.subject.id} ${denial.targetId || "-"} ${count}`);

test("the first is due at once, the repeats of a minute in one, and what repeats no more is forgotten", () => {
  const buffer = createDenialBuffer();
  buffer.add(sampleDenial("one"), at(0));
  expect(buffer.take(at(0))).toEqual([{ denial: sampleDenial("one"), count: 1, time: at(0) }]);
  const again = sampleDenial("one", { actor: sampleActor("mallory", { requestId: "another" }) });
  for (const second of [1, 2, 59]) buffer.add(again, at(second));
  expect(buffer.take(at(59))).toEqual([]);
  expect(buffer.take(at(60))).toEqual([{ denial: again, count: 3, time: at(1) }]);
  buffer.add(again, at(61));
  expect(buffer.take(at(119))).toEqual([]);
  expect(brief(buffer.take(at(120)))).toEqual(["mallory one 1"]);
  expect(buffer.take(at(180))).toEqual([]);
  // Forgotten at 180 s: a new first.
  buffer.add(again, at(181));
  expect(buffer.take(at(181))).toHaveLength(1);
});

test.each([
  ["actor", { actor: sampleActor("alice") }],
  ["address", { actor: sampleActor("mallory", { address: "192.0.2.2" }) }],
  ["action", { action: "login" }],
  ["target", { targetId: "two" }],
  ["kind of target", { targetType: "team" }],
  ["reason", { reason: "CREDENTIAL_INVALID" }],
])("another %s is another record", (_what, more) => {
  const buffer = createDenialBuffer();
  buffer.add(sampleDenial("one"), at(0));
  buffer.add(sampleDenial("one", more), at(0));
  expect(buffer.take(at(0)).map(({ count }) => count)).toEqual([1, 1]);
});

test("who probes many targets gets one record for those beyond a bound, and hides nobody else's", () => {
  const buffer = createDenialBuffer({ maxKinds: 10, maxTargets: 2 });
  for (let i = 0; i < 1000; i++) buffer.add(sampleDenial(`agent-${i}`), at(0));
  buffer.add(sampleDenial("secret", { actor: sampleActor("eve") }), at(0));
  expect(brief(buffer.take(at(0)))).toEqual([
    "mallory agent-0 1",
    "mallory agent-1 1",
    "mallory - 998",
    "eve secret 1",
  ]);
});

test("what does not fit is counted in one record, however much it is", () => {
  const buffer = createDenialBuffer({ maxKinds: 3 });
  const add = (address: string, second: number) =>
    buffer.add(sampleDenial("one", { actor: sampleActor("", { address }) }), at(second));
  for (let i = 0; i < 500; i++) add(`192.0.2.${i}`, 0);
  const held = buffer.take(at(0));
  expect(held.map(({ count }) => count)).toEqual([1, 1, 1, 497]);
  expect(held.at(-1)?.denial).toMatchObject({ action: "audit.overflow", actor: { address: "" } });
  // Alike ones of those that did fit still count where they belong.
  add("192.0.2.0", 1);
  add("192.0.2.9", 1);
  expect(buffer.take(at(60)).map(({ denial, count }) => [denial.action === "audit.overflow", count])).toEqual([
    [false, 1],
    [true, 1],
  ]);
  // A minute later the others are forgotten, and there is room again.
  buffer.take(at(130));
  add("192.0.2.10", 131);
  expect(buffer.take(at(131))[0]?.denial.actor.address).toBe("192.0.2.10");
});

test("what could not be stored comes again, with what came meanwhile", () => {
  const buffer = createDenialBuffer();
  buffer.add(sampleDenial("one"), at(0));
  const held = buffer.take(at(0));
  buffer.add(sampleDenial("one"), at(1));
  buffer.giveBack(held);
  expect(buffer.take(at(2))).toEqual([{ denial: sampleDenial("one"), count: 2, time: at(0) }]);
  expect(buffer.take(at(2))).toEqual([]);
});

test("the last look takes all", () => {
  const buffer = createDenialBuffer();
  buffer.add(sampleDenial("one"), at(0));
  buffer.take(at(0));
  buffer.add(sampleDenial("one"), at(1));
  expect(buffer.take(at(1), true)).toHaveLength(1);
});

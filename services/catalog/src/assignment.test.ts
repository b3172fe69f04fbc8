import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  changedTargets,
  desiredAssignment,
  disabledFor,
  enabledFor,
  EVERY_AGENT,
  usersOf,
  type Assignment,
} from "./assignment.ts";

const NAMES = ["one", "two", "three"];
/** Every way three agents and `*` can be assigned. */
const assignment = fc
  .tuple(fc.boolean(), ...NAMES.map(() => fc.constantFrom("yes", "no", "none")))
  .map(([everybodys, ...rows]): Assignment => ({
    agents: [...(everybodys ? [EVERY_AGENT] : []), ...NAMES.filter((_, i) => rows[i] === "yes")].toSorted(),
    disabledAgents: NAMES.filter((_, i) => rows[i] === "no").toSorted(),
  }));
const target = fc.constantFrom(EVERY_AGENT, ...NAMES);

describe("who uses a thing", () => {
  it("is decided by an agent's own row, else by that of every agent", () => {
    const uses = usersOf({ agents: ["*", "one"], disabledAgents: ["two"] });
    expect(["one", "two", "three"].map(uses)).toEqual([true, false, true]);
    const own = usersOf({ agents: ["one"], disabledAgents: ["two"] });
    expect(["one", "two", "three"].map(own)).toEqual([true, false, false]);
    expect(usersOf(undefined)("one")).toBe(false);
  });

  it("is changed by switching for that agent, and for nobody else", () => {
    fc.assert(
      fc.property(assignment, target, fc.boolean(), (before, who, enabled) => {
        const after = (enabled ? enabledFor : disabledFor)(before, who);
        const others = [...NAMES, "four"].filter((id) => id !== who && who !== EVERY_AGENT);
        expect(others.map(usersOf(after))).toEqual(others.map(usersOf(before)));
        if (who === EVERY_AGENT) {
          expect(after.agents.includes(EVERY_AGENT)).toBe(enabled);
          // Own rows stay, whichever way.
          const own = ({ agents }: Assignment) => agents.filter((id) => id !== EVERY_AGENT);
          expect([own(after), after.disabledAgents]).toEqual([own(before), before.disabledAgents]);
        } else {
          expect(usersOf(after)(who)).toBe(enabled);
        }
        // Again changes nothing.
        expect((enabled ? enabledFor : disabledFor)(after, who)).toEqual(after);
        expect(desiredAssignment("x", after)).toEqual(after);
      }),
    );
  });

  it("concerns whoever gains or loses it, and when the thing changes whoever used or uses it", () => {
    fc.assert(
      fc.property(
        fc.option(assignment, { nil: undefined }),
        fc.option(assignment, { nil: undefined }),
        (before, after) => {
          const concerned = (targets: string[], id: string) => targets.includes(EVERY_AGENT) || targets.includes(id);
          const [used, uses] = [usersOf(before), usersOf(after)];
          const moved = changedTargets(before, after, true);
          const changed = changedTargets(before, after, false);
          for (const id of [...NAMES, "four"]) {
            if (used(id) !== uses(id)) expect(concerned(moved, id)).toBe(true);
            if (used(id) || uses(id)) expect(concerned(changed, id)).toBe(true);
            else if (before?.agents.includes(EVERY_AGENT) !== true && after?.agents.includes(EVERY_AGENT) !== true) {
              expect([moved.includes(id), changed.includes(id)]).toEqual([false, false]);
            }
          }
        },
      ),
    );
    // An opt-out of what is everybody's is that agent's matter alone.
    const everybodys = { agents: ["*"], disabledAgents: [] };
    expect(changedTargets(everybodys, { agents: ["*"], disabledAgents: ["two"] }, true)).toEqual(["two"]);
    expect(changedTargets(everybodys, { agents: ["*", "one"], disabledAgents: [] }, true)).toEqual([]);
  });
});

it("refuses an agent that is to use it and not to use it", () => {
  expect(() => desiredAssignment("files", { agents: ["one", "two"], disabledAgents: ["two"] })).toThrow(
    expect.objectContaining({ code: "invalid_argument", reason: "ASSIGNMENT_CONTRADICTORY" }),
  );
  expect(desiredAssignment("files", { agents: ["two", "*", "two"], disabledAgents: ["one"] })).toEqual({
    agents: ["*", "two"],
    disabledAgents: ["one"],
  });
});

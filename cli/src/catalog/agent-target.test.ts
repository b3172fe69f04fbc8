import { expect, it } from "vitest";
import { usersText } from "./agent-target.ts";

it("says who uses something, and who would keep it without a row of every agent", () => {
  const text = (agents: string[], disabledAgents: string[] = []) => usersText({ agents, disabledAgents });
  expect(text([])).toBe("no agent");
  expect(text(["one", "two"])).toBe("one, two");
  expect(text(["*"], ["two"])).toBe("every agent except two");
  expect(text(["*", "one"])).toBe("every agent, also future ones; one also by itself");
  expect(text(["*", "one", "three"], ["two"])).toBe("every agent except two; one, three also by themselves");
});

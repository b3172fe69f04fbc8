import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AgentSpecSchema, Launcher, ValueSource } from "@openhermit/protocol/fleet/v1/agent";
import { describe, expect, it } from "vitest";
import { effectiveSpec, isEmptySpec, normalSpec, providerOf, specLeaves, valueSources } from "./effective-spec.ts";

type Init = Omit<MessageInitShape<typeof AgentSpecSchema>, "$typeName">;
const spec = (init: Init = {}) => create(AgentSpecSchema, init);
const { AGENT, DEFAULTS, BUILTIN } = ValueSource;

/** What an agent runs with: each value with its source. */
function effective(own: Init, defaults: Init): Record<string, [string, ValueSource | undefined]> {
  const sources = valueSources(spec(own), spec(defaults));
  const leaves = specLeaves(effectiveSpec(spec(own), spec(defaults)));
  expect([...sources.keys()].toSorted()).toEqual([...leaves.keys()].toSorted());
  return Object.fromEntries([...leaves].map(([path, value]) => [path, [value, sources.get(path)]]));
}

describe("what an agent runs with", () => {
  it("is built in where nobody says anything", () => {
    expect(effective({ model: "offline/echo" }, {})).toEqual({
      model: ["offline/echo", AGENT],
      launcher: ["process", BUILTIN],
      "turnLimits.maxSteps": ["32", BUILTIN],
      "turnLimits.timeout": ["10m", BUILTIN],
      "turnLimits.maxConcurrentTurns": ["64", BUILTIN],
    });
  });

  it("is its own value, else that of the defaults, down to single parameters and limits", () => {
    const own = { modelParameters: { temperature: 0, maxOutputTokens: 5 }, turnLimits: { timeout: { seconds: 90n } } };
    const defaults = {
      model: "test/m",
      instructions: "Be brief.",
      launcher: Launcher.EXTERNAL,
      modelParameters: { temperature: 1, topP: 0.5 },
      turnLimits: { timeout: { seconds: 5n }, maxSteps: 7 },
    };
    expect(effective(own, defaults)).toEqual({
      model: ["test/m", DEFAULTS],
      instructions: ["Be brief.", DEFAULTS],
      launcher: ["external", DEFAULTS],
      // Zero is a value.
      "modelParameters.temperature": ["0", AGENT],
      "modelParameters.maxOutputTokens": ["5", AGENT],
      "modelParameters.topP": ["0.5", DEFAULTS],
      "turnLimits.maxSteps": ["7", DEFAULTS],
      "turnLimits.timeout": ["90s", AGENT],
      "turnLimits.maxConcurrentTurns": ["64", BUILTIN],
    });
  });

  it("is its own where it says the same as the defaults", () => {
    const both = { model: "test/m", instructions: "Same.", launcher: Launcher.PROCESS };
    const result = effective(both, both);
    expect([result["model"], result["instructions"], result["launcher"]].map((pair) => pair?.[1])).toEqual([
      AGENT,
      AGENT,
      AGENT,
    ]);
  });

  it("changes neither of what it is made of", () => {
    const own = spec({ model: "a/b", turnLimits: { maxSteps: 1 } });
    const defaults = spec({ turnLimits: { maxSteps: 2 }, modelParameters: { topP: 1 } });
    effectiveSpec(own, defaults);
    expect([own, defaults]).toEqual([
      spec({ model: "a/b", turnLimits: { maxSteps: 1 } }),
      spec({ turnLimits: { maxSteps: 2 }, modelParameters: { topP: 1 } }),
    ]);
  });
});

it("stores only one form of what means the same", () => {
  expect(normalSpec(spec({ modelParameters: {}, turnLimits: {} }))).toEqual(spec());
  expect(isEmptySpec(spec({ modelParameters: {}, turnLimits: {} }))).toBe(true);
  expect(isEmptySpec(spec({ modelParameters: { temperature: 0 } }))).toBe(false);
});

it("takes the provider from what stands before the first slash", () => {
  expect(["openrouter/meta/llama", "offline/echo", ""].map((model) => providerOf({ model }))).toEqual([
    "openrouter",
    "offline",
    "",
  ]);
});

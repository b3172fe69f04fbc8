import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AgentSchema, AgentSpecSchema, DesiredState, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { describe, expect, it } from "vitest";
import { desiredAgent, digestOf, sameAgent, sameSnapshot } from "./agent.ts";
import { agentDifferences } from "./agent-difference.ts";
import { updatedAgent } from "./updated-agent.ts";

type Init = Omit<MessageInitShape<typeof AgentSchema>, "$typeName">;
const agent = (init: Init) => create(AgentSchema, { id: "one", ...init });
const desired = (init: Init = {}) => desiredAgent(agent({ spec: { model: "offline/echo" }, ...init }));

describe("desiredAgent", () => {
  it("fills in the defaults of the contract, so that two ways to say one thing are the same", () => {
    const short = desired();
    const long = desired({
      displayName: "one",
      desiredState: DesiredState.RUNNING,
      spec: { model: "offline/echo", modelParameters: {}, turnLimits: {} },
      etag: "ignored",
      status: { detail: "ignored" },
    });
    expect(sameAgent(short, long)).toBe(true);
    expect(digestOf(short)).toBe(digestOf(long));
    expect(digestOf(desired({ labels: { a: "1", b: "2" } }))).toBe(digestOf(desired({ labels: { b: "2", a: "1" } })));
  });

  it("leaves open what is not set, so that it is taken from the defaults", () => {
    expect(desiredAgent(agent({})).spec).toEqual(create(AgentSpecSchema));
    expect(sameAgent(desired(), desired({ spec: { model: "offline/echo", launcher: Launcher.PROCESS } }))).toBe(false);
  });

  it("refuses what can't be an agent", () => {
    expect(() => desiredAgent(agent({ id: "*", spec: { model: "offline/echo" } }))).toThrow("can't be an agent's id");
    expect(() => desiredAgent(agent({ spec: { model: "echo" } }))).toThrow("has no model");
  });
});

describe("updatedAgent", () => {
  const current = desired({
    displayName: "First",
    labels: { team: "a" },
    desiredState: DesiredState.STOPPED,
    spec: { model: "offline/echo", instructions: "Be kind.", modelParameters: { temperature: 0.5, topP: 0.9 } },
  });

  it("takes over the named fields only, and clears those that the request does not set", () => {
    const request = agent({ displayName: "ignored", spec: { model: "test/new", modelParameters: { temperature: 1 } } });
    const next = updatedAgent(current, request, {
      $typeName: "google.protobuf.FieldMask",
      paths: ["spec.model", "spec.model_parameters.temperature", "spec.model_parameters.top_p"],
    });
    expect(next).toMatchObject({ displayName: "First", labels: { team: "a" }, desiredState: DesiredState.STOPPED });
    expect(next.spec).toMatchObject({ model: "test/new", instructions: "Be kind." });
    expect(next.spec.modelParameters?.temperature).toBe(1);
    expect(next.spec.modelParameters?.topP).toBeUndefined();
    expect(current.spec.modelParameters?.topP).toBe(0.9);
  });

  it("replaces name, labels, spec and desired state without a mask", () => {
    expect(updatedAgent(current, agent({ spec: { model: "offline/echo" } }), undefined)).toEqual(desired());
  });

  it("leaves spec and team as they are without a mask that names them, unless they are set", () => {
    const owned = { ...current, team: "red" };
    expect(updatedAgent(owned, agent({ displayName: "First" }), undefined)).toMatchObject({
      displayName: "First",
      spec: current.spec,
      team: "red",
    });
    expect(updatedAgent(owned, agent({ team: "blue" }), undefined).team).toBe("blue");
    const mask = { $typeName: "google.protobuf.FieldMask" as const, paths: ["team"] };
    expect(updatedAgent(owned, agent({}), mask)).toEqual({ ...owned, team: "" });
  });

  it("refuses what is not there or not to be set", () => {
    for (const path of ["id", "status", "spec.nope", "__proto__", "spec.model.x"]) {
      const mask = { $typeName: "google.protobuf.FieldMask" as const, paths: [path] };
      expect(() => updatedAgent(current, agent({}), mask)).toThrow(/can't be updated/);
    }
  });
});

it("tells what a snapshot holds from what it does not", () => {
  expect(sameSnapshot(desired(), desired({ labels: { a: "1" }, desiredState: DesiredState.STOPPED }))).toBe(true);
  expect(sameSnapshot(desired(), desired({ displayName: "First" }))).toBe(false);
});

it("tells what changed by the keys of a manifest", () => {
  const after = desired({
    labels: { team: "b" },
    spec: { model: "test/new", turnLimits: { timeout: { seconds: 90n } }, launcher: Launcher.EXTERNAL },
  });
  expect(agentDifferences(desired(), after)).toEqual([
    { path: "model", before: "offline/echo", after: "test/new" },
    { path: "labels.team", before: "", after: "b" },
    { path: "launcher", before: "", after: "external" },
    { path: "turnLimits.timeout", before: "", after: "90s" },
  ]);
});

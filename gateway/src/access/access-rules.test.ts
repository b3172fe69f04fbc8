import { create, createFileRegistry, setExtension, type DescMethod } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { access, AccessSchema, AgentBinding, Audience, Verb, type Access } from "@openhermit/protocol/common/v1/access";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { Health } from "@openhermit/protocol/grpc/health";
import { LinkService } from "@openhermit/protocol/mesh/v1/link_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { describe, expect, test } from "vitest";

import { createTestAccess } from "../test/test-access.ts";
import { createAccessRules } from "./access-rules.ts";

const { resources } = createTestAccess();

/** A method `test.Service/Do` of a request with the text field `agent_id`, with this option, or with none. */
function methodWith(option: Partial<Omit<Access, "$typeName">> | undefined): DescMethod {
  const options = create(MethodOptionsSchema);
  if (option !== undefined) {
    setExtension(options, access, create(AccessSchema, { audience: Audience.PRINCIPAL, ...option }));
  }
  const file = create(FileDescriptorProtoSchema, {
    name: "test.proto",
    package: "test",
    syntax: "proto3",
    messageType: [
      {
        name: "Request",
        field: [{ name: "agent_id", number: 1, type: Type.STRING, label: Label.OPTIONAL, jsonName: "agentId" }],
      },
    ],
    service: [
      { name: "Service", method: [{ name: "Do", inputType: ".test.Request", outputType: ".test.Request", options }] },
    ],
  });
  const method = createFileRegistry(file, () => undefined).getService("test.Service")?.methods[0];
  if (method === undefined) throw new Error("no method");
  return method;
}

const ruleOf = (method: DescMethod) => createAccessRules([method], resources).of(method);

describe("access rules", () => {
  test("are read from the contracts, and name the methods for principals", () => {
    const { getAgent, listAgents, updateAgent } = FleetService.method;
    const methods = [getAgent, listAgents, updateAgent, SessionService.method.watchTurn, LinkService.method.attach];
    const rules = createAccessRules(methods, resources);
    expect(rules.of(updateAgent)).toMatchObject({
      audience: Audience.PRINCIPAL,
      resource: "agents",
      verb: "write",
      agents: AgentBinding.SELECTED,
      agentBound: true,
      recentLogin: false,
    });
    expect(rules.of(LinkService.method.attach)).toEqual({ audience: Audience.SIDECAR });
    expect(rules.of(FleetService.method.deleteAgent)).toBeUndefined();
    expect(rules.scoped).toEqual([
      { name: "openhermit.fleet.v1.FleetService/GetAgent", resource: "agents", verb: "read" },
      { name: "openhermit.fleet.v1.FleetService/ListAgents", resource: "agents", verb: "read" },
      { name: "openhermit.fleet.v1.FleetService/UpdateAgent", resource: "agents", verb: "write" },
      { name: "openhermit.sessions.v1.SessionService/WatchTurn", resource: "sessions", verb: "read" },
    ]);
  });

  test("of contracts of others: everybody may check the health, and who may read it lists and watches", () => {
    expect(ruleOf(Health.method.check)).toEqual({ audience: Audience.PUBLIC });
    for (const method of [Health.method.list, Health.method.watch]) {
      expect(ruleOf(method)).toMatchObject({ audience: Audience.PRINCIPAL, resource: "health", verb: "read" });
    }
  });

  test("a method without a rule is closed", () => {
    expect(ruleOf(methodWith(undefined))).toBeUndefined();
    expect(ruleOf(methodWith({ audience: Audience.UNSPECIFIED, resource: "agents", verb: Verb.READ }))).toBeUndefined();
  });

  test("that reads an agent's id reads it", () => {
    const rule = ruleOf(
      methodWith({ resource: "agents", verb: Verb.READ, selector: "agent_id", agents: AgentBinding.SELECTED }),
    );
    if (rule?.audience !== Audience.PRINCIPAL) throw new Error("no rule for principals");
    expect(rule.selector?.({ agentId: "one" })).toBe("one");
  });

  test.each<[string, Partial<Omit<Access, "$typeName">>]>([
    ["names the resource", { resource: "agent", verb: Verb.READ, agents: AgentBinding.LISTED }],
    ["names the resource", { verb: Verb.READ }],
    ["names no verb", { resource: "teams" }],
    ["which no role has", { resource: "activity", verb: Verb.WRITE, agents: AgentBinding.LISTED }],
    ["selects an agent without", { resource: "agents", verb: Verb.READ, agents: AgentBinding.SELECTED }],
    ["not about agents", { resource: "teams", verb: Verb.READ, selector: "agent_id", agents: AgentBinding.SELECTED }],
    ["does not say how", { resource: "sessions", verb: Verb.READ }],
    ['no field "agent"', { resource: "teams", verb: Verb.READ, selector: "agent.id" }],
  ])("that %s … keep the gateway from starting: %o", (message, option) => {
    expect(() => ruleOf(methodWith(option))).toThrow(message);
  });
});

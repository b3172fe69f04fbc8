import type { Principal } from "@openhermit/access-service";
import { reachOf } from "@openhermit/caller";
import { Code, ConnectError, createClient, createContextValues } from "@connectrpc/connect";
import { notFound } from "@openhermit/errors";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { actorOf, callerOf, principalKey } from "../access/caller.ts";
import { serveCalls, type CallServer } from "../test/serve-calls.ts";
import { createTestAccess, testPrincipal, type TestAccess } from "../test/test-access.ts";

const READ = ["agents:read", "sessions:read", "activity:read"];
const hour = 3_600_000;
const ago = (ms: number) => new Date(Date.now() - ms);

let server: CallServer;
let access: TestAccess;
let handled: string[];
beforeEach(async () => {
  handled = [];
  access = createTestAccess({
    viewer: { rights: READ, agents: ["one"] },
    // May change one agent by a grant, and see another.
    granted: { rights: ["agents:read", "agents:write"], agents: ["one"] },
    narrowed: { rights: [...READ, "agents:write", "mcp-servers:read"], narrowed: ["one"] },
  });
  server = await serveCalls(
    (router) => {
      const done = (name: string) => () => {
        handled.push(name);
        return {};
      };
      router.service(FleetService, {
        getAgent: done("getAgent"),
        updateAgent: done("updateAgent"),
        createAgent: done("createAgent"),
        listAgents: (_request, context) => ({
          agents: reachOf(callerOf(context))
            .ids()
            .map((id) => ({ id })),
        }),
        listProviders: done("listProviders"),
      });
      router.service(SessionService, {
        getTurn({ turnId }, context) {
          const agentId = turnId === "turn-of-two" ? "two" : "one";
          if (!reachOf(callerOf(context)).has(agentId)) {
            throw notFound("TURN_NOT_FOUND", `turn "${turnId}" does not exist`);
          }
          if (turnId === "none") throw notFound("TURN_NOT_FOUND", `turn "${turnId}" does not exist`);
          return {};
        },
        async *sendMessage() {
          handled.push("sendMessage");
          yield {};
        },
        listSessions: done("listSessions"),
      });
      router.service(ActivityService, { queryEvents: done("queryEvents") });
      router.service(CatalogService, { getMcpServer: done("getMcpServer"), listMcpServers: done("listMcpServers") });
      router.service(MemberService, { removeMember: done("removeMember"), getMember: done("getMember") });
    },
    { access },
  );
});
afterEach(() => server.close());

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call went well");
}
async function result(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    return ConnectError.from(error).findDetails(ErrorDetailSchema)[0]?.reason ?? "";
  }
}
const fleet = (name?: string) => createClient(FleetService, server.as(name));
const sessions = (name?: string) => createClient(SessionService, server.as(name));
const agent = (id: string) => ({ agent: { id, spec: { model: "offline/echo" } } });

describe("a call about an agent", () => {
  test("out of reach does not exist, word for word as one that does not", async () => {
    const out = await failureOf(fleet("viewer").getAgent({ agentId: "two" }));
    expect(out.code).toBe(Code.NotFound);
    expect(out.rawMessage).toBe('agent "two" does not exist');
    expect(out.findDetails(ErrorDetailSchema)[0]).toMatchObject({
      reason: "AGENT_NOT_FOUND",
      hint: "List the agents for their ids.",
      fields: { agent_id: "two" },
    });
    expect(await result(fleet("viewer").getAgent({ agentId: "one" }))).toBe("ok");
    expect(await result(fleet("narrowed").getAgent({ agentId: "one2" }))).toBe("AGENT_NOT_FOUND");
    expect(handled).toEqual(["getAgent"]);
  });

  test("that may be seen but not changed is refused, one that may not be seen or is not there does not exist", async () => {
    expect(await result(fleet("viewer").updateAgent(agent("one")))).toBe("RIGHT_MISSING");
    expect(await result(fleet("viewer").updateAgent(agent("two")))).toBe("RIGHT_MISSING");
    const { decide } = access;
    // Sees `two`, and may write `one` only.
    access.decide = (principal, resource, verb) => {
      const decision = decide(principal, resource, verb);
      if (principal.subject.id !== "granted" || verb === "write") {
        return { ...decision, agents: { all: false, has: (id) => id === "one", ids: () => ["one"] } };
      }
      return { ...decision, agents: { all: false, has: (id) => id !== "three", ids: () => ["one", "two"] } };
    };
    expect(await result(fleet("granted").updateAgent(agent("one")))).toBe("ok");
    expect(await result(fleet("granted").updateAgent(agent("two")))).toBe("RIGHT_MISSING");
    expect(await result(fleet("granted").updateAgent(agent("three")))).toBe("AGENT_NOT_FOUND");
    expect(await result(fleet("granted").updateAgent(agent("missing")))).toBe("AGENT_NOT_FOUND");
  });

  test("on a stream is checked by its first message", async () => {
    access.change("viewer", { rights: ["sessions:write"], agents: ["one"] });
    const send = async (agentId: string) => {
      for await (const _ of sessions("viewer").sendMessage({ agentId, message: "hi" })) {
        // Nothing of interest comes.
      }
    };
    expect(await result(send("two"))).toBe("AGENT_NOT_FOUND");
    expect(handled).toEqual([]);
    expect(await result(send("one"))).toBe("ok");
  });
});

describe("a list", () => {
  test("shows the handler what is in reach", async () => {
    expect((await fleet("viewer").listAgents({})).agents).toMatchObject([{ id: "one" }]);
    expect((await fleet("operator").listAgents({})).agents).toHaveLength(3);
  });

  test("is closed to a token that names agents, unless the request names one of them", async () => {
    expect(await result(fleet("narrowed").listAgents({}))).toBe("RIGHT_MISSING");
    const activity = createClient(ActivityService, server.as("narrowed"));
    expect(await result(activity.queryEvents({}))).toBe("RIGHT_MISSING");
    expect(await result(activity.queryEvents({ filter: { agentId: "two" } }))).toBe("RIGHT_MISSING");
    expect(await result(activity.queryEvents({ filter: { agentId: "one" } }))).toBe("ok");
    expect(await result(sessions("narrowed").listSessions({ agentId: "one" }))).toBe("ok");
  });
});

describe("a token that names things", () => {
  test("is held to them where the request names one, and to nothing else", async () => {
    const catalog = createClient(CatalogService, server.as("narrowed"));
    expect(await result(catalog.getMcpServer({ mcpServerId: "one" }))).toBe("ok");
    expect(await result(catalog.getMcpServer({ mcpServerId: "one2" }))).toBe("RIGHT_MISSING");
    expect(await result(catalog.listMcpServers({}))).toBe("RIGHT_MISSING");
    expect(await result(fleet("narrowed").createAgent(agent("one")))).toBe("ok");
    expect(await result(fleet("narrowed").createAgent(agent("two")))).toBe("RIGHT_MISSING");
    expect(await result(fleet("narrowed").listProviders({}))).toBe("RIGHT_MISSING");
  });
});

describe("a method that needs a recent login", () => {
  const remove = async (credential: Principal["credential"]) => {
    access.principals.set("operator", testPrincipal("operator", credential));
    const members = createClient(MemberService, server.as("operator"));
    expect(await result(members.getMember({ memberId: "x" }))).toBe("ok");
    return result(members.removeMember({ memberId: "x" }));
  };
  const token = { kind: "token", accessor: "acc_1", scopes: [], expireTime: new Date(Date.now() + hour) } as const;
  const session = { kind: "session", sessionId: "1", expireTime: new Date(Date.now() + hour) } as const;

  test("refuses sessions and logins of more than an hour ago, and nobody else", async () => {
    expect(await remove({ ...session, loginTime: ago(hour - 5_000) })).toBe("ok");
    expect(await remove({ ...session, loginTime: ago(hour + 5_000) })).toBe("LOGIN_TOO_OLD");
    expect(await remove({ ...token, login: true, createTime: ago(hour - 5_000) })).toBe("ok");
    expect(await remove({ ...token, login: true, createTime: ago(hour + 5_000) })).toBe("LOGIN_TOO_OLD");
    expect(await remove({ ...token, login: false, createTime: ago(30 * 24 * hour) })).toBe("ok");
    expect(await remove({ kind: "operator-token" })).toBe("ok");
  });
});

describe("the audit trail hears of", () => {
  test("calls without a credential, for other callers, without a right and out of reach, and of no others", async () => {
    await result(fleet().getAgent({ agentId: "one" }));
    await result(fleet("forged").getAgent({ agentId: "one" }));
    await result(fleet("sidecar").getAgent({ agentId: "one" }));
    await result(fleet("guest").getAgent({ agentId: "one" }));
    await result(fleet("viewer").getAgent({ agentId: "two" }));
    await result(fleet("narrowed").createAgent(agent("two")));
    await result(sessions("viewer").getTurn({ turnId: "turn-of-two" }));
    // No denials: it is there, it is not there for anybody, the request is wrong.
    await result(fleet("viewer").getAgent({ agentId: "one" }));
    await result(sessions("viewer").getTurn({ turnId: "none" }));
    await result(fleet("viewer").getAgent({ agentId: "" }));
    const member = (id: string) => ({ kind: SubjectKind.MEMBER, id });
    const anonymous = { kind: SubjectKind.ANONYMOUS, id: "" };
    const get = "openhermit.fleet.v1.FleetService/GetAgent";
    const none = { targetType: "", targetId: "" };
    expect(
      access.denials.map(({ actor, action, targetType, targetId, reason }) => ({
        subject: actor.subject,
        action,
        targetType,
        targetId,
        reason,
      })),
    ).toEqual([
      { subject: anonymous, action: get, ...none, reason: "CREDENTIAL_MISSING" },
      { subject: anonymous, action: get, ...none, reason: "CREDENTIAL_INVALID" },
      { subject: { kind: SubjectKind.SIDECAR, id: "one" }, action: get, ...none, reason: "AUDIENCE_WRONG" },
      { subject: member("guest"), action: get, ...none, reason: "RIGHT_MISSING" },
      { subject: member("viewer"), action: get, targetType: "agent", targetId: "two", reason: "AGENT_NOT_FOUND" },
      {
        subject: member("narrowed"),
        action: "openhermit.fleet.v1.FleetService/CreateAgent",
        targetType: "agent",
        targetId: "two",
        reason: "RIGHT_MISSING",
      },
      {
        subject: member("viewer"),
        action: "openhermit.sessions.v1.SessionService/GetTurn",
        targetType: "agent",
        targetId: "two",
        reason: "TURN_NOT_FOUND",
      },
    ]);
    expect(access.denials[4]?.actor).toMatchObject({
      accessor: "acc_viewer",
      onBehalfOf: undefined,
      address: "127.0.0.1",
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
  });

  test("whose rights a call used, when they were another's", () => {
    const principal = { ...testPrincipal("ci"), creator: { kind: SubjectKind.MEMBER, id: "alice" } };
    const values = createContextValues().set(principalKey, principal);
    expect(actorOf({ values })).toMatchObject({ subject: { id: "ci" }, onBehalfOf: { id: "alice" } });
  });
});

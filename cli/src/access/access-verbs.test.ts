import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, TOKEN, type TestGateway } from "../test/test-gateway.ts";

const later = (days: number) => timestampFromDate(new Date(Date.now() + days * 86_400_000 + 60_000));
const member = (id: string) => ({ kind: SubjectKind.MEMBER, id });
const refusal = (reason: string, code: Code, fields: Record<string, string> = {}) =>
  new ConnectError(fields["message"] ?? `refused: ${reason}`, code, undefined, [
    { desc: ErrorDetailSchema, value: { reason, fields } },
  ]);

const MEMBERS = [
  { id: "alice", displayName: "Alice", role: Role.OWNER, state: MemberState.ACTIVE, lastLoginTime: later(-2) },
  { id: "bob", displayName: "Bob\u001b[31m", role: Role.VIEWER, state: MemberState.DISABLED, teamIds: ["payments"] },
  { id: "carol", displayName: "", role: Role.ADMIN, state: MemberState.INVITED, inviteExpireTime: later(6) },
];
/** Is in no list, so that the lists stay short. */
const INVITED = { id: "dora", role: Role.VIEWER, state: MemberState.INVITED, inviteExpireTime: later(6) };
const TOKENS = [
  {
    accessor: "acc_ci",
    name: "deploys",
    subject: { kind: SubjectKind.SERVICE_ACCOUNT, id: "ci" },
    creator: member("alice"),
    scopes: ["agents:one:read", "sessions:write"],
    expireTime: later(29),
    lastUseTime: later(-3),
    lastUseAddress: "192.0.2.7",
  },
  {
    accessor: "acc_child",
    subject: member("alice"),
    parentAccessor: "acc_ci",
    scopes: ["agents:read"],
    expireTime: later(2),
  },
  { accessor: "acc_login", subject: member("alice"), login: true, expireTime: later(20) },
];

let gateway: TestGateway;
let asked: { method: string; request: object }[] = [];
const note = <T>(method: string, request: object, answer: T): T => {
  asked.push({ method, request });
  return answer;
};

beforeAll(async () => {
  gateway = await startTestGateway((router) => {
    router.service(LoginService, {
      createLoginLink: () => ({ url: "http://x/login?code=1", expireTime: later(0.5) }),
      createSetupCode: () => {
        throw refusal("OWNER_EXISTS", Code.FailedPrecondition);
      },
      changePassword: (request) => note("changePassword", request, {}),
    });
    router.service(MemberService, {
      // Two a page.
      listMembers: ({ pageToken }) => {
        const from = Number(pageToken || 0);
        return { members: MEMBERS.slice(from, from + 2), nextPageToken: from + 2 < MEMBERS.length ? "2" : "" };
      },
      getMember: ({ memberId }) => {
        const found = [...MEMBERS, INVITED].find(({ id }) => id === memberId);
        if (!found) throw refusal("MEMBER_NOT_FOUND", Code.NotFound, { member_id: memberId });
        return { member: found };
      },
      inviteMember: (request) =>
        note("inviteMember", request, { inviteUrl: "http://x/invite?code=2", expireTime: later(7) }),
      updateMember: (request) => {
        if (request.member?.id === "carol") throw refusal("LOGIN_TOO_OLD", Code.PermissionDenied);
        // The invite of a member who has not come yet ends with a higher role.
        const stored = request.member?.id === "dora" && { id: "dora", state: MemberState.INVITED };
        return note("updateMember", request, stored ? { member: stored } : {});
      },
      removeMember: (request) => note("removeMember", request, {}),
    });
    router.service(TeamService, {
      listTeams: () => ({
        teams: [{ id: "payments", displayName: "payments", agentCount: 2, members: [member("bob")] }],
      }),
      addTeamMember: (request) => note("addTeamMember", request, {}),
    });
    router.service(ServiceAccountService, {
      updateServiceAccount: (request) => note("updateServiceAccount", request, {}),
    });
    router.service(GrantService, {
      putGrant: (request) => note("putGrant", request, {}),
      listGrants: () => {
        throw refusal("RIGHT_MISSING", Code.PermissionDenied);
      },
    });
    router.service(TokenService, {
      createToken: (request) => {
        if (request.scopes.includes("agnts:read")) throw refusal("SCOPE_UNKNOWN", Code.InvalidArgument);
        const token = { ...TOKENS[0], accessor: "acc_new", scopes: request.scopes };
        return note("createToken", request, { secret: "ohm_secret", token });
      },
      listTokens: (request) => note("listTokens", request, { tokens: TOKENS }),
      revokeToken: (request) => note("revokeToken", request, {}),
      listScopes: () => ({
        scopes: [
          { scope: "agents:read", selector: "agent", role: Role.VIEWER, methods: ["a.v1.FleetService/GetAgent"] },
        ],
      }),
    });
    router.service(FleetService, {
      updateAgent: (request) => note("updateAgent", request, {}),
      getAgent: ({ agentId }) => {
        if (agentId === "noe") throw refusal("AGENT_NOT_FOUND", Code.NotFound, { agent_id: agentId });
        if (agentId === "unseen") throw refusal("RIGHT_MISSING", Code.PermissionDenied);
        return { agent: { id: agentId } };
      },
      listAgents: () => {
        throw refusal("RIGHT_MISSING", Code.PermissionDenied, {
          message: "openhermit.fleet.v1.FleetService/ListAgents needs the right agents:read, which member:alice lacks",
          right: "agents:read",
        });
      },
    });
  });
});
beforeEach(() => (asked = []));
afterAll(() => gateway.close());

const run = (line: string, input = "") => runHermit(line.split(" "), { home: gateway.home, input });

describe("hermit members", () => {
  it("lists those of all pages, without their control characters", async () => {
    const { stdout } = await run("members list");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["MEMBER", "ROLE", "STATE", "TEAMS", "LAST LOGIN", "NAME"],
      ["alice", "owner", "active", "1d ago", "Alice"],
      ["bob", "viewer", "disabled", "payments", "never", "Bob"],
      ["carol", "admin", "invited, 6d left", "never", "carol"],
      [""],
    ]);
    expect((await run("members list -o name")).stdout).toBe("alice\nbob\ncarol\n");
  });

  it("invites with a link on stdout alone", async () => {
    const invited = await run("members invite dave --role operator --team payments --team ops --name D");
    expect(invited).toMatchObject({ code: 0, stdout: "http://x/invite?code=2\n" });
    expect(invited.stderr).toContain("within 7d");
    expect(asked).toMatchObject([
      { request: { memberId: "dave", displayName: "D", role: Role.OPERATOR, teamIds: ["payments", "ops"] } },
    ]);
  });

  it("moves a role by one or to a named one, and asks before it makes an owner", async () => {
    await run("members promote bob");
    await run("members promote bob --to admin");
    await run("members promote bob --to owner --yes");
    const roles = asked.map(({ request }) => request as { member: { role: Role }; updateMask: { paths: string[] } });
    expect(roles.map(({ member: { role } }) => role)).toEqual([Role.OPERATOR, Role.ADMIN, Role.OWNER]);
    expect(roles[0]?.updateMask.paths).toEqual(["role"]);
    expect(await run("members promote bob --to owner")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("next: bin/hermit members promote bob --to owner --yes"),
    });
    expect((await run("members demote bob")).stderr).toContain("bob is viewer already");
    expect((await run("members promote alice --to admin")).stderr).toContain(
      "next: bin/hermit members demote alice --to admin",
    );
    expect(asked).toHaveLength(3);
  });

  it("says that an invite ended with the change, and how to make a new one", async () => {
    expect((await run("members promote dora")).stderr).toContain(
      "dora is operator now; the invite has ended, make a new one: bin/hermit members renew-invite dora",
    );
    expect((await run("members enable dora")).stderr).toContain("renew-invite dora");
    expect((await run("members promote bob")).stderr).not.toContain("invite");
  });

  it("removes only after the name was typed, or with --yes", async () => {
    const refused = await run("members remove bob", "bob\n");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("members remove bob --yes") });
    expect(asked).toEqual([]);
    expect((await run("members remove bob --yes")).code).toBe(0);
    expect(asked).toMatchObject([{ method: "removeMember", request: { memberId: "bob" } }]);
  });

  it("says who was probably meant, and ends with 4 when the login is too old", async () => {
    expect((await run("members promote alcie")).stderr).toContain("did you mean alice?");
    expect(await run("members disable carol")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("next: bin/hermit login, then this command again"),
    });
  });
});

describe("hermit tokens", () => {
  it("prints the secret on stdout alone, and how to use and end it on stderr", async () => {
    const made = await run(
      "tokens create --scope agents:one:read --scope health:read --ttl 1d12h --service-account ci",
    );
    expect(made).toMatchObject({ code: 0, stdout: "ohm_secret\n" });
    expect(made.stderr).toContain("bin/hermit tokens revoke acc_new");
    expect(made.stderr).not.toContain("ohm_secret");
    expect(asked).toMatchObject([
      { request: { scopes: ["agents:one:read", "health:read"], serviceAccountId: "ci", ttl: { seconds: 129_600n } } },
    ]);
  });

  it("sends a typo to the list of scopes, and needs a scope and a span", async () => {
    expect((await run("tokens create --scope agnts:read")).stderr).toContain("next: bin/hermit tokens scopes");
    expect((await run("tokens create")).stderr).toContain("--scope");
    expect((await run("tokens create --scope a:read --ttl soon")).stderr).toContain("12h or 30d");
    const { stdout } = await run("tokens scopes");
    expect(stdout).toMatch(/\nagents:read +agent +viewer +GetAgent\n/);
  });

  it("lists accessor, for whom, last use, expiry and scopes, never a secret", async () => {
    const { stdout } = await run("tokens list --all --service-account ci");
    expect(stdout).toMatch(/^ACCESSOR +FOR +LAST USED +EXPIRES +MADE BY +NAME +SCOPES\n/);
    expect(stdout).toMatch(
      /\nacc_ci +service-account:ci +2d ago +in 29d +alice +deploys +agents:one:read sessions:write\n/,
    );
    expect(stdout).toMatch(/\nacc_login +alice +never +in 20d +- +all of a login\n/);
    expect(asked).toMatchObject([{ request: { includeEnded: true, serviceAccountId: "ci" } }]);
  });

  it("takes no secret for an accessor, and does not repeat it", async () => {
    const refused = await run("tokens revoke ohm_secret --yes");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("that is the secret of a token") });
    expect(refused.stderr).not.toContain("ohm_secret");
    expect(asked).toEqual([]);
  });

  it("says what breaks before it revokes", async () => {
    const refused = await run("tokens revoke acc_ci");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /acc_ci \(deploys\)[^]*service-account:ci[^]*sessions:write[^]*2d ago from 192\.0\.2\.7[^]*and with it acc_child/,
    );
    expect((await run("tokens revoke acc_ci acc_login -y")).code).toBe(0);
    expect(asked.filter(({ method }) => method === "revokeToken")).toMatchObject([
      { request: { accessor: "acc_ci" } },
      { request: { accessor: "acc_login" } },
    ]);
  });
});

describe("the other verbs of access", () => {
  it("read who is meant as the trail writes it", async () => {
    await run("teams add payments alice service-account:ci");
    await run("grants add one team:payments --role operator");
    expect(asked.map(({ request }) => request)).toMatchObject([
      { teamId: "payments", subject: member("alice") },
      { teamId: "payments", subject: { kind: SubjectKind.SERVICE_ACCOUNT, id: "ci" } },
      { grant: { agentId: "one", subject: { kind: SubjectKind.TEAM, id: "payments" }, role: Role.OPERATOR } },
    ]);
    expect((await run("grants add one servce-account:ci")).stderr).toContain("Did you mean service-account?");
    expect((await run("teams add payments team:ops")).stderr).toContain("can't be in a team");
    expect((await run("grants add one Alice")).stderr).toContain("is no id");
    expect(asked).toHaveLength(3);
  });

  it("give no grant on an agent that is not there, but one on an agent that may not be seen", async () => {
    expect((await run("grants add noe alice")).code).toBe(1);
    expect(asked).toEqual([]);
    expect((await run("grants add unseen alice")).code).toBe(0);
  });

  it("change only what was named", async () => {
    await run("service-accounts update ci --disable");
    await run("agents move one two --team payments");
    await run("agents move one --no-team");
    expect(asked.map(({ request }) => request)).toMatchObject([
      { serviceAccount: { id: "ci", disabled: true }, updateMask: { paths: ["disabled"] } },
      { agent: { id: "one", team: "payments" }, updateMask: { paths: ["team"] } },
      { agent: { id: "two", team: "payments" } },
      { agent: { id: "one", team: "" }, updateMask: { paths: ["team"] } },
    ]);
    expect((await run("service-accounts update ci")).stderr).toContain("nothing to change");
    expect((await run("agents move one")).stderr).toContain("--no-team");
  });

  it("say what right is missing, and where to see one's own", async () => {
    expect(await run("grants list")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("next: bin/hermit whoami"),
    });
    expect((await run("teams list")).stdout).toMatch(/\npayments +2 +bob\n/);
    expect((await run("agents list")).stderr).toMatch(/^error: this command needs the right agents:read, which /);
    const env = { OPENHERMIT_TOKEN: TOKEN, OPENHERMIT_URL: gateway.url };
    const narrow = await runHermit(["agents", "list"], { env });
    expect(narrow.stderr).toContain("which the token in OPENHERMIT_TOKEN lacks");
    expect(narrow.stderr).toContain("next: bin/hermit whoami shows the token's scopes");
  });
});

describe("what the host does", () => {
  it("prints a login link, and who the owner is instead of a setup link", async () => {
    expect(await run("open")).toMatchObject({ code: 0, stdout: "http://x/login?code=1\n" });
    const setup = await run("setup");
    expect(setup).toMatchObject({ code: 1, stdout: "" });
    expect(setup.stderr).toContain("there is an owner already: alice");
    expect(setup.stderr).toContain("members renew-invite alice");
  });

  it("changes the password from two lines, and asks nobody where there is no terminal", async () => {
    expect((await run("password --from-stdin", "old one\nnew one \n")).code).toBe(0);
    expect(asked).toMatchObject([{ request: { currentPassword: "old one", newPassword: "new one " } }]);
    expect((await run("password --from-stdin", "one\n")).stderr).toContain("two lines");
    expect((await run("password")).stderr).toContain("next: bin/hermit password --from-stdin");
    expect(asked).toHaveLength(1);
  });
});

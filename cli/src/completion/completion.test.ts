import { spawnSync } from "node:child_process";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";
import { completionScript } from "./scripts.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway((router) => {
    router.service(FleetService, {
      listAgents: () => ({ agents: [{ id: "one", displayName: "One" }, { id: "two" }] }),
    });
    router.service(MemberService, {
      listMembers: () => ({ members: [{ id: "alice", displayName: "Alice", role: Role.OWNER }] }),
    });
    router.service(TeamService, { listTeams: () => ({ teams: [{ id: "payments", displayName: "Payments" }] }) });
    router.service(TokenService, {
      listScopes: () => ({ scopes: [{ scope: "agents:read", selector: "agent" }, { scope: "audit:read" }] }),
    });
    router.service(CatalogService, {
      listMcpServers: () => ({
        mcpServers: [
          { id: "everything", transport: { case: "stdio", value: { command: "npx", args: ["server"] } } },
          { id: "search", transport: { case: "http", value: { url: "https://mcp.example.com/" } } },
        ],
      }),
    });
    router.service(SkillService, {
      listSkills: () => ({ skills: [{ id: "report", description: { description: "Writes reports." } }] }),
      getBundle: ({ skillId }) => ({
        bundle: { files: skillId === "report" ? [{ path: "scripts/a b.py" }, { path: "scripts/sum.py" }] : [] },
      }),
    });
    router.service(SessionService, {
      listSessions: () => ({ sessions: [{ id: "s-1", agentId: "one", title: "a\ttitle\n" }] }),
    });
  });
});
afterAll(() => gateway.close());

describe("hermit complete", () => {
  it.each<[string[], string[]]>([
    [["ag"], ["agents\tsee, change, compare, start and stop agents"]],
    [["agents", "re"], ["restart\tstop an agent's sidecar and start a new one"]],
    [
      ["agents", "restart", "one", ""],
      ["one\tOne, unknown", "two\tunknown"],
    ],
    [["chat", "o"], ["one\tOne, unknown"]],
    [["logs", "--agent=o"], ["--agent=one\tOne, unknown"]],
    [["logs", "--agent", "=", "o"], ["one\tOne, unknown"]],
    [
      ["--color", "always", "logs", "-o", "j"],
      ["json", "jsonl"],
    ],
    [["logs", "--type", "tool"], ["tool_use"]],
    [["sessions", "show", ""], ["s-1\tone: a title"]],
    [["apply", "-f", "x"], [":files"]],
    [["chat", "one", "--", "--ne"], []],
    [["nonsense", ""], []],
    [["members", "promote", ""], ["alice\tAlice, owner"]],
    // Who may not see service accounts is still offered the rest.
    [
      ["grants", "add", "one", ""],
      ["alice\tAlice, owner", "team:payments\tPayments"],
    ],
    [["agents", "move", "one", "--team", "p"], ["payments\tPayments"]],
    [["tokens", "create", "--scope", "ag"], ["agents:read\tor for one agent"]],
    [["audit", "--actor", "sys"], ["system"]],
    [
      ["members", "invite", "--role", "o"],
      ["operator", "owner"],
    ],
    [["mcp", "en"], ["enable\tgive an MCP server to agents"]],
    [
      ["mcp", "enable", ""],
      ["everything\tnpx server", "search\thttps://mcp.example.com/"],
    ],
    [
      ["mcp", "disable", "everything", "--agent", ""],
      ["*\tevery agent, also every future one", "one\tOne, unknown", "two\tunknown"],
    ],
    [["mcp", "add", "x", "--agent=*"], ["--agent=*\tevery agent, also every future one"]],
    [
      ["chat", ""],
      ["one\tOne, unknown", "two\tunknown"],
    ],
    [["skills", "remove", "r"], ["report\tWrites reports."]],
    [["skills", "add", "x"], [":files"]],
    [
      ["skills", "show", "report", "s"],
      ["scripts/a b.py", "scripts/sum.py"],
    ],
    [["agents", "diff", "one", "t"], ["two\tunknown"]],
    [
      ["agents", "set", "one", "model=x", "turnLimits."],
      ["turnLimits.maxSteps=", "turnLimits.timeout=", "turnLimits.maxConcurrentTurns="],
    ],
    [["defaults", "set", "te"], []],
    [["defaults", "get", "mo"], expect.arrayContaining(["model", "modelParameters.topP"])],
    [["context", "use", ""], ["local\tthe home of this host"]],
    [["--context", "x", "context", "use", "l"], ["local\tthe home of this host"]],
  ])("%j: %j", async (words, expected) => {
    const { code, stdout } = await runHermit(["complete", "--", ...words], { home: gateway.home });
    expect({ code, lines: stdout.split("\n").filter(Boolean) }).toEqual({ code: 0, lines: expected });
  });

  it("keeps silent when the gateway is away", async () => {
    expect(await runHermit(["complete", "--", "chat", ""])).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("hermit completion", () => {
  it("prints a script that each shell can read, and names itself to none else", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = await runHermit(["completion", shell]);
      expect(stdout).toContain("/bin/hermit' complete -- ");
      // A shell that is not installed can't read it.
      const { status, error } = spawnSync(shell, ["-n", "-c", stdout]);
      if (error === undefined) expect({ shell, status }).toEqual({ shell, status: 0 });
    }
  });

  it("completes in bash, and evaluates nothing of what is typed", () => {
    const asked = 'printf \'%s\\n\' "$#" "${@: -1}"';
    // Stands for the program: it answers with the number of its words and the last one.
    const script = completionScript("bash", "answer");
    const run = `answer() { ${asked}; }; ${script}
      COMP_WORDS=(hermit chat one '$(echo owned)'); COMP_CWORD=3; _hermit; printf '%s|' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync("bash", ["--norc", "-c", run], { encoding: "utf8" });
    expect(stdout).toBe("5|\\$\\(echo\\ owned\\)|");
  });

  it("quotes in bash what the shell would take for names of files, and goes on after KEY=", () => {
    const script = completionScript("bash", "answer");
    const run = `answer() { printf '%s\\tdescription\\n' "$reply"; }; compopt() { printf '%s;' "$*"; }; ${script}
      COMP_WORDS=(hermit mcp enable x --agent ''); COMP_CWORD=5
      for reply in '*' 'a b' one model=; do _hermit; printf '%s|' "\${COMPREPLY[@]}"; done`;
    const { stdout } = spawnSync("bash", ["--norc", "-c", run], { encoding: "utf8" });
    expect(stdout).toBe("\\*|a\\ b|one|-o nospace;model=|");
  });

  it("completes words with colons in bash, of which it replaces the last part", () => {
    const script = completionScript("bash", "answer");
    const typed = (words: string) => `COMP_WORDS=(hermit ${words}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _hermit`;
    const run = `answer() { printf '%s\\n' "\${@: -1}payments"; }; ${script}
      ${typed("grants add one team :")}; printf '%s|' "\${COMPREPLY[@]}"
      ${typed("grants add one team : p")}; printf '%s|' "\${COMPREPLY[@]}"
      ${typed("tokens create --scope agents : one : r")}; printf '%s|' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync("bash", ["--norc", "-c", run], { encoding: "utf8" });
    expect(stdout).toBe("payments|ppayments|rpayments|");
  });

  it("quotes a path with spaces and quotes", () => {
    expect(completionScript("bash", "/my 'own'/hermit")).toContain("'/my '\\''own'\\''/hermit' complete");
  });
});

import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runHermit, startHermit, type Running } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const EXPIRE = new Date(Date.now() + 30 * 86_400_000);
const alice = { subject: { kind: SubjectKind.MEMBER, id: "alice" }, role: Role.ADMIN };

let temporary: TemporaryDirectory;
let gateway: TestGateway;
let env: Record<string, string>;
/** Verifiers by the code they were exchanged with. */
let exchanged: Map<string, string>;
let ended: string[];
let conversations: unknown[];
const started: Running[] = [];

beforeEach(async () => {
  temporary = await temporaryDirectory();
  exchanged = new Map();
  ended = [];
  conversations = [];
  const issued = new Set<string>();
  gateway = await startTestGateway((router) => {
    router.service(LoginService, {
      exchangeLoginCode: ({ code, verifier }) => {
        if (!code.startsWith("good")) throw new ConnectError("the code is wrong", Code.PermissionDenied);
        exchanged.set(code, verifier);
        issued.add(`ohm_${code}`);
        return { token: `ohm_${code}`, accessor: "acc_1", expireTime: timestampFromDate(EXPIRE), identity: alice };
      },
      getIdentity: () => ({ identity: alice }),
      logout: (_, { requestHeader }) => {
        const token = requestHeader.get("authorization")?.replace("Bearer ", "") ?? "";
        issued.delete(token);
        ended.push(token);
        return {};
      },
    });
    router.service(SessionService, {
      sendMessage: async function* ({ conversation }) {
        conversations.push(conversation.value);
        yield { event: { event: { case: "turn" as const, value: { id: "t", state: TurnState.SUCCEEDED } } } };
      },
    });
  }, issued);
  // No home is named, so that the contexts count.
  env = { OPENHERMIT_HOME: "", XDG_CONFIG_HOME: temporary.path };
});
afterEach(async () => {
  // One that waits for a browser still would wait 10 minutes.
  for (const { child } of started.splice(0)) child.kill();
  await gateway.close();
  await temporary.remove();
});

const run = (args: string[], more: Record<string, string> = {}) => runHermit(args, { env: { ...env, ...more } });

/** Starts a login and waits for its link. */
async function startLogin(args: string[] = []): Promise<{ login: Running; page: URL }> {
  const login = startHermit(["login", "--url", gateway.url, ...args], { env });
  started.push(login);
  const page = await waitFor(
    () => {
      const found = /https?:\/\/\S+\/cli-login\S+/.exec(login.stderr());
      return found ? new URL(found[0]) : undefined;
    },
    { what: "the link of the login" },
  );
  return { login, page };
}

/** What the gateway's page does when a person approves. */
function redirect(page: URL, code: string, state = page.searchParams.get("state") ?? ""): Promise<Response> {
  const port = page.searchParams.get("port");
  return fetch(`http://127.0.0.1:${port}/?${new URLSearchParams({ code, state }).toString()}`);
}

const storedLogin = () =>
  JSON.parse(readFileSync(join(temporary.path, "openhermit/credentials.json"), "utf8")) as Record<
    string,
    { token: string }
  >;

describe("hermit login", () => {
  it("sends the browser to the page, exchanges the code that comes back, and keeps the token", async () => {
    const { login, page } = await startLogin(["--context", "lab"]);
    expect(page.origin).toBe(gateway.url);
    const answer = await redirect(page, "good-1");
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await answer.text()).toContain("You can close this window");
    expect(await login.ended).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("as alice, admin"),
    });
    const verifier = exchanged.get("good-1") ?? "";
    expect(createHash("sha256").update(verifier).digest("base64url")).toBe(page.searchParams.get("challenge"));
    expect(gateway.credentials).toEqual([""]);
    expect(storedLogin()).toMatchObject({ lab: { token: "ohm_good-1", url: gateway.url } });
    expect(statSync(join(temporary.path, "openhermit/credentials.json")).mode & 0o777).toBe(0o600);
    expect(login.stderr()).not.toContain("ohm_");

    expect(await run(["whoami", "-o", "name"])).toMatchObject({ code: 0, stdout: "alice\n" });
    expect(gateway.credentials.at(-1)).toBe("Bearer ohm_good-1");
  });

  it("sends nobody to a gateway that does not answer", async () => {
    const url = gateway.url;
    await gateway.close();
    const login = await run(["login", "--url", url]);
    expect(login).toMatchObject({ code: 1, stdout: "" });
    expect(login.stderr).toContain(`the gateway does not answer at ${url}`);
    expect(login.stderr).not.toContain("/cli-login");
  });

  it("waits on when another page brings a code, and takes none without its state", async () => {
    const { login, page } = await startLogin();
    expect((await redirect(page, "good-of-a-stranger", "x")).status).toBe(400);
    expect((await redirect(page, "good-of-a-stranger", "")).status).toBe(400);
    const elsewhere = `http://localhost:${page.searchParams.get("port")}/?code=good&state=${page.searchParams.get("state")}`;
    expect((await fetch(elsewhere)).status).toBe(404);
    expect(exchanged.size).toBe(0);
    await redirect(page, "good-2");
    expect((await login.ended).code).toBe(0);
    expect([...exchanged.keys()]).toEqual(["good-2"]);
  });

  it("tells the person in the browser and in the terminal that the code was refused", async () => {
    const { login, page } = await startLogin();
    expect(await (await redirect(page, "bad")).text()).toContain("The login failed");
    expect(await login.ended).toMatchObject({ code: 1, stderr: expect.stringContaining("error: the code is wrong") });
    expect((await run(["context", "list", "-o", "name"])).stdout).toBe("local\n");
  });

  it("takes the code that is pasted, without a port", async () => {
    const { login, page } = await startLogin(["--paste"]);
    expect([...page.searchParams.keys()]).toEqual(["challenge", "name"]);
    login.child.stdin?.end("  good-3 \n");
    expect((await login.ended).code).toBe(0);
    expect(exchanged.has("good-3")).toBe(true);
  });

  it("ends without a trace at Ctrl-C", async () => {
    const { login, page } = await startLogin();
    login.child.kill("SIGINT");
    expect(await login.ended).toMatchObject({ code: 130, stderr: expect.stringContaining("given up") });
    await expect(redirect(page, "good-4")).rejects.toThrow("fetch failed");
    expect((await run(["context", "list", "-o", "name"])).stdout).toBe("local\n");
  });

  it("ends the token of the login before", async () => {
    for (const code of ["good-5", "good-6"]) {
      const { login, page } = await startLogin();
      await redirect(page, code);
      await login.ended;
    }
    expect(ended).toEqual(["ohm_good-5"]);
    expect(Object.values(storedLogin())).toMatchObject([{ token: "ohm_good-6" }]);
  });

  it("opens the browser where there is a screen, and not over SSH or when told not to", async () => {
    const opened = join(temporary.path, "opened");
    const bin = join(temporary.path, "bin");
    mkdirSync(bin);
    const script = `#!/bin/sh\nprintf '%s' "$1" > ${opened}.tmp && mv ${opened}.tmp ${opened}\n`;
    for (const name of ["xdg-open", "open"]) writeFileSync(join(bin, name), script, { mode: 0o755 });
    env = { ...env, PATH: `${bin}:${process.env["PATH"] ?? ""}`, DISPLAY: ":99" };
    const first = await startLogin(["--no-browser"]);
    await redirect(first.page, "good-7");
    await first.login.ended;
    expect(() => statSync(opened)).toThrow("ENOENT");
    const { login, page } = await startLogin();
    await waitFor(() => statSync(opened, { throwIfNoEntry: false }), { what: "a browser" });
    expect(readFileSync(opened, "utf8")).toBe(page.href);
    await redirect(page, "good-8");
    await login.ended;
    env = { ...env, SSH_CONNECTION: "192.0.2.1 1 192.0.2.2 22" };
    expect(await run(["login", "--url", gateway.url])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("not a terminal"),
    });
  });

  it("refuses a gateway that would hand the token to whoever listens, and a name that is taken", async () => {
    expect(await run(["login", "--url", "http://192.0.2.1:8780"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not safe to send a token to"),
    });
    expect((await run(["login", "--url", gateway.url, "--context", "local"])).stderr).toContain("needs no login");
    const { login, page } = await startLogin(["--context", "lab"]);
    await redirect(page, "good-9");
    await login.ended;
    expect((await run(["login", "--url", "https://other.example", "--context", "lab"])).stderr).toContain(
      "context lab is of another gateway",
    );
  });
});

describe("after a login", () => {
  beforeEach(async () => {
    const { login, page } = await startLogin(["--context", "lab"]);
    await redirect(page, "good");
    await login.ended;
  });

  it("logout ends the token here and at the gateway, and the next command asks for a login", async () => {
    expect((await run(["logout"])).code).toBe(0);
    expect(ended).toEqual(["ohm_good"]);
    expect(storedLogin()).toEqual({});
    expect(await run(["whoami"])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("next: bin/hermit login --context lab"),
    });
    expect(await run(["logout"])).toMatchObject({ code: 0, stderr: expect.stringContaining("nobody is logged in") });
  });

  it("a chat is the conversation of who is logged in, whatever the user of the machine is called", async () => {
    expect((await run(["chat", "one", "hello"])).code).toBe(0);
    expect(conversations).toMatchObject([{ platform: "cli", chatType: "dm", chatId: "alice" }]);
  });

  it("logout says how to revoke a token whose gateway is away", async () => {
    await gateway.close();
    expect(await run(["logout"])).toMatchObject({ code: 1, stderr: expect.stringContaining("tokens revoke acc_1") });
    expect(storedLogin()).toEqual({});
  });

  it("a token that the gateway does not take any more leads to the login", async () => {
    await fetchLogout();
    expect(await run(["whoami"])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("next: bin/hermit login --context lab"),
    });
  });

  it("context lists, shows, switches and removes, and never prints the token", async () => {
    const list = await run(["context", "list"]);
    expect(list.stdout).toMatch(/\n\* +lab +alice +30d +http:/);
    const json = JSON.parse((await run(["context", "list", "-o", "json"])).stdout) as object[];
    expect(json).toMatchObject([{ name: "local" }, { name: "lab", current: true, subject: "alice" }]);
    const show = await run(["context", "show", "-o", "yaml"]);
    expect(show.stdout).toContain("name: lab");
    expect(list.stdout + JSON.stringify(json) + show.stdout).not.toContain("ohm_");

    expect((await run(["context", "use", "lba"])).stderr).toContain("did you mean lab?");
    expect((await run(["context", "use", "local"])).code).toBe(0);
    expect((await run(["context", "show", "-o", "name"])).stdout).toBe("local\n");
    expect((await run(["whoami", "-o", "name", "--context", "lab"])).stdout).toBe("alice\n");
    expect((await run(["whoami", "-o", "name"], { OPENHERMIT_CONTEXT: "lab" })).stdout).toBe("alice\n");
    const overruled = await run(["context", "use", "lab"], { OPENHERMIT_HOME: "/somewhere" });
    expect(overruled.stderr).toContain("OPENHERMIT_HOME is set and wins over it");

    expect((await run(["context", "remove", "lab"])).code).toBe(0);
    expect(ended).toEqual(["ohm_good"]);
    expect((await run(["context", "list", "-o", "name"])).stdout).toBe("local\n");
  });

  it("doctor checks who can read the token, and whether it works still", async () => {
    const file = join(temporary.path, "openhermit/credentials.json");
    const fine = (await run(["doctor"])).stdout;
    expect(fine).toContain("✓ credentials:");
    expect(fine).toContain("✓ context lab: alice is logged in");
    const mode = statSync(file).mode;
    writeFileSync(file, readFileSync(file, "utf8").replace(EXPIRE.toISOString(), "2020-01-01T00:00:00.000Z"));
    expect((await run(["doctor"])).stdout).toMatch(
      /✗ context lab: .*has ended\n {2}fix: bin\/hermit login --context lab/,
    );
    chmodSync(file, mode | 0o044);
    expect((await run(["doctor"])).stdout).toMatch(/✗ credentials: .*\n {2}fix: chmod 600/);
  });

  async function fetchLogout(): Promise<void> {
    const copy = startHermit(["logout"], { env: { ...env, XDG_CONFIG_HOME: copied() }, input: "" });
    expect((await copy.ended).code).toBe(0);
  }

  /** The contexts of another machine of the same person. */
  function copied(): string {
    const other = join(temporary.path, "other");
    cpSync(join(temporary.path, "openhermit"), join(other, "openhermit"), { recursive: true });
    return other;
  }
});

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readConfig, type CliConfig } from "./config.ts";
import { changeContexts } from "./contexts/context-store.ts";
import { findGateway, findHostGateway } from "./find-gateway.ts";
import { applyGlobalFlags, readGlobalFlags } from "./global-flags.ts";

const HOME_URL = "http://127.0.0.1:8780";
const HOME = { url: HOME_URL, token: "ohm_home" };
const PROD = { url: "https://prod.example", token: "ohm_prod" };
const LAB = { url: "http://127.0.0.1:9000", token: "ohm_lab" };

let temporary: TemporaryDirectory;
let home: string;
beforeEach(async () => {
  temporary = await temporaryDirectory();
  home = join(temporary.path, "home");
  mkdirSync(home);
  writeFileSync(join(home, "gateway.json"), JSON.stringify({ url: HOME_URL, pid: 1, version: "0" }));
  writeFileSync(join(home, "operator-token"), "ohm_home\n");
  const context = (name: string, { url, token }: { url: string; token: string }) => ({
    name,
    url,
    insecure: false,
    login: { url, token, accessor: "acc", subject: "alice", expireTime: "2030-01-01T00:00:00Z" },
  });
  await changeContexts(join(temporary.path, "openhermit"), () => ({
    current: "prod",
    contexts: [
      context("prod", PROD),
      context("lab", LAB),
      { name: "out", url: "https://out.example", insecure: false, login: undefined },
      context("plain", { url: "http://192.0.2.1", token: "ohm_plain" }),
      { ...context("trusted", { url: "http://192.0.2.2", token: "ohm_trusted" }), insecure: true },
    ],
  }));
});
afterEach(() => temporary.remove());

/** As the program reads it; the home of the test is the default one. */
function configOf(args: string[], env: Record<string, string> = {}): CliConfig {
  const base = readConfig({ XDG_CONFIG_HOME: temporary.path, ...env });
  return applyGlobalFlags(base.homeGiven ? base : { ...base, home }, readGlobalFlags(args));
}
const find = (args: string[], env?: Record<string, string>) => findGateway(configOf(args, env));

describe("the gateway of a command", () => {
  it("is what was named, else the home that was named, else the current context", async () => {
    const given = { OPENHERMIT_HOME: home };
    expect(await find([])).toMatchObject(PROD);
    expect(await find([], given)).toMatchObject(HOME);
    expect(await find(["--home", home])).toMatchObject(HOME);
    expect(await find([], { ...given, OPENHERMIT_CONTEXT: "lab" })).toMatchObject(LAB);
    expect(await find(["--home", home], { OPENHERMIT_CONTEXT: "lab" })).toMatchObject(HOME);
    expect(await find(["--context", "prod"], { ...given, OPENHERMIT_CONTEXT: "lab" })).toMatchObject(PROD);
    expect(await find(["--context=local"])).toMatchObject(HOME);
    expect(await find(["--context", "prod"], { OPENHERMIT_URL: LAB.url })).toMatchObject(PROD);
    expect(await find(["--url", LAB.url])).toMatchObject(LAB);
    expect(await find(["--url", HOME_URL])).toMatchObject(HOME);
    await changeContexts(join(temporary.path, "openhermit"), (before) => ({ ...before, current: undefined }));
    expect(await find([])).toMatchObject(HOME);
  });

  it("gets the token of its own context only", async () => {
    const token = { OPENHERMIT_TOKEN: "ohm_env" };
    expect(await find([], token)).toMatchObject({ url: PROD.url, token: "ohm_env", source: { kind: "environment" } });
    // A token of the environment is not meant for a context that a flag names.
    expect(await find(["--context", "lab"], token)).toMatchObject(LAB);
    await expect(find(["--context", "lab", "--url", PROD.url])).rejects.toThrow("name two gateways");
    await expect(find(["--url", "https://elsewhere.example"])).rejects.toMatchObject({ exitCode: 4 });
    await expect(find(["--context", "out"])).rejects.toMatchObject({
      exitCode: 4,
      next: "bin/hermit login --context out",
    });
    await expect(find(["--context", "prd"])).rejects.toMatchObject({ why: "did you mean prod?" });
  });

  it("gets no token over plain http to another host, unless a person says so", async () => {
    await expect(find(["--context", "plain"])).rejects.toThrow("not safe to send a token to");
    await expect(find(["--url", "http://192.0.2.9"], { OPENHERMIT_TOKEN: "x" })).rejects.toThrow("not safe");
    // A name that only looks like this host.
    await expect(find(["--url", "http://127.0.0.1@192.0.2.9"], { OPENHERMIT_TOKEN: "x" })).rejects.toThrow("not safe");
    await expect(find(["--url", "http://localhost.example"], { OPENHERMIT_TOKEN: "x" })).rejects.toThrow("not safe");
    expect(await find(["--context", "plain", "--insecure"])).toMatchObject({ token: "ohm_plain" });
    expect(await find(["--context", "plain"], { OPENHERMIT_INSECURE: "1" })).toMatchObject({ token: "ohm_plain" });
    expect(await find(["--context", "trusted"])).toMatchObject({ token: "ohm_trusted" });
  });

  it("is the home's for what only the host may do, unless another one was named", async () => {
    expect(await findHostGateway(configOf([]))).toMatchObject(HOME);
    expect(await findHostGateway(configOf(["--context", "lab"]))).toMatchObject(LAB);
  });
});

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contextNameOf, isContextName, normalUrl, withContext, type Context } from "./context.ts";
import { changeContexts, readContexts } from "./context-store.ts";

let temporary: TemporaryDirectory;
let folder: string;
beforeEach(async () => {
  temporary = await temporaryDirectory();
  folder = join(temporary.path, "config/openhermit");
});
afterEach(() => temporary.remove());

const context = (name: string, more: Partial<Context> = {}): Context => {
  const url = `https://${name}.example`;
  const login = { url, token: `ohm_${name}`, accessor: "acc_1", subject: "alice", expireTime: "2030-01-01T00:00:00Z" };
  return { name, url, insecure: false, login, ...more };
};
const add = (one: Context) =>
  changeContexts(folder, ({ contexts }) => ({ current: one.name, contexts: withContext(contexts, one) }));

describe("the contexts", () => {
  it("are read as they were written, in files for this user alone", async () => {
    expect(await readContexts(folder)).toEqual({ current: undefined, contexts: [] });
    await add(context("prod"));
    await add(context("lab", { insecure: true, login: undefined }));
    expect(await readContexts(folder)).toEqual({
      current: "lab",
      contexts: [context("lab", { insecure: true, login: undefined }), context("prod")],
    });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const files = readdirSync(folder).filter((name) => name !== "lock");
    expect(files.toSorted()).toEqual(["config.yaml", "credentials.json"]);
    for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, "config.yaml"), "utf8")).not.toContain("ohm_");
  });

  it("close a folder that was open to others", async () => {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    writeFileSync(join(folder, "credentials.json"), "{}", { mode: 0o644 });
    await add(context("prod"));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "credentials.json")).mode & 0o777).toBe(0o600);
  });

  it("lose the token when a person changes the URL", async () => {
    await add(context("prod"));
    const file = join(folder, "config.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("https://prod.example", "https://evil.example"));
    const { contexts } = await readContexts(folder);
    expect(contexts).toMatchObject([{ url: "https://evil.example", login: undefined }]);
  });

  it.each([
    ["config.yaml", "contexts: [", "config.yaml can't be read"],
    ["config.yaml", "- a", "config.yaml can't be read"],
    ["config.yaml", "contexts: { a: { url: 'ftp://x' } }", "config.yaml can't be read"],
    ["config.yaml", "contexts: { __proto__: { url: 'http://x' } }", "config.yaml can't be read"],
    ["credentials.json", "{", "credentials.json can't be read"],
  ])("name the file %s that is %j", async (name, text, words) => {
    await add(context("prod"));
    writeFileSync(join(folder, name), text);
    await expect(readContexts(folder)).rejects.toThrow(words);
    const before = readFileSync(join(folder, name), "utf8");
    await expect(add(context("lab"))).rejects.toThrow(words);
    expect(readFileSync(join(folder, name), "utf8")).toBe(before);
  });

  it("keep what each of many writers at once has added", async () => {
    const store = new URL("context-store.ts", import.meta.url).href;
    const writer = (index: number) => `
      const { changeContexts } = await import(${JSON.stringify(store)});
      for (const turn of [0, 1, 2]) {
        const name = "c${index}-" + turn;
        await changeContexts(${JSON.stringify(folder)}, ({ contexts }) => ({
          current: undefined,
          contexts: [...contexts, { name, url: "https://" + name + ".example", insecure: false, login: undefined }],
        }));
      }`;
    const ends = Array.from({ length: 4 }, (_, index) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", writer(index)], { stdio: "inherit" });
      return new Promise((resolve) => child.on("close", resolve));
    });
    expect(await Promise.all(ends)).toEqual([0, 0, 0, 0]);
    expect((await readContexts(folder)).contexts).toHaveLength(12);
  });
});

it("makes a name of a URL", () => {
  expect(contextNameOf("https://mesh.example.com")).toBe("mesh.example.com");
  expect(contextNameOf("https://mesh.example.com:8443/base")).toBe("mesh.example.com-8443");
  expect(contextNameOf("http://127.0.0.1:8780")).toBe("localhost-8780");
  for (const url of ["http://[2001:db8::1]:80", `https://${"a".repeat(63)}.example:65535`]) {
    expect(isContextName(contextNameOf(url))).toBe(true);
  }
  for (const name of ["local", "", "-a", "a/b", "__proto__", "a:b", "a".repeat(64)]) {
    expect(isContextName(name)).toBe(false);
  }
  expect(normalUrl("HTTPS://Mesh.Example.com:443/?x#y")).toBe("https://mesh.example.com");
});

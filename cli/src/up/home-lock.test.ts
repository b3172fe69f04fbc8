import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, waitFor } from "@openhermit/testing";
import { expect, it } from "vitest";
import { lockHome, openHome } from "./home-lock.ts";

it("lets one process at a time have a home, names it, and gives the home back after kill -9", async () => {
  const { path: home, remove } = await temporaryDirectory();
  const script = `
    import { lockHome } from ${JSON.stringify(join(import.meta.dirname, "home-lock.ts"))};
    // Held by name: one that nothing holds is closed by the garbage collector.
    globalThis.lock = lockHome(${JSON.stringify(home)});
    process.stdout.write("locked");
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(holder.stdout, "data");
    writeFileSync(join(home, "gateway.json"), JSON.stringify({ url: "http://127.0.0.1:8780", pid: 1, version: "1" }));
    expect(() => lockHome(home)).toThrow("running on this home already");
    expect(() => lockHome(home)).toThrow(
      expect.objectContaining({
        why: `process ${holder.pid}, home ${home}, gateway http://127.0.0.1:8780`,
        exitCode: 1,
      }),
    );
    holder.kill("SIGKILL");
    const lock = await waitFor(() => lockHome(home), { what: "the lock to be free" });
    lock.release();
    lockHome(home).release();
  } finally {
    holder.kill("SIGKILL");
    await remove();
  }
});

it("says in one sentence that a home is not writable", async () => {
  const { path, remove } = await temporaryDirectory();
  writeFileSync(join(path, "file"), "");
  expect(() => openHome(join(path, "file"))).toThrow(/the home .* is not writable/);
  expect(() => openHome("/proc/openhermit/home")).toThrow(/is not writable/);
  openHome(join(path, "a/b"));
  expect(statSync(join(path, "a/b")).mode & 0o777).toBe(0o700);
  await remove();
});

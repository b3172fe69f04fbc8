import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, waitFor } from "@openhermit/testing";
import { expect, it } from "vitest";
import { openLifeline } from "./lifeline.ts";

/** A process that ends with 7 when the lifeline it inherits as fd 3 ends. */
const READER = `new (require("net").Socket)({ fd: 3, writable: false }).on("end", () => process.exit(7)).resume(); process.stdout.write("reads");`;

it("ends every reader when it is cut, also one that was started later", async () => {
  const { path: home, remove } = await temporaryDirectory();
  const lifeline = openLifeline(home);
  expect(readdirSync(home)).toEqual([]);
  const readers = [1, 2].map(() =>
    spawn(process.execPath, ["-e", READER], { stdio: ["ignore", "pipe", "inherit", lifeline.readFd] }),
  );
  await Promise.all(readers.map((reader) => once(reader.stdout as NodeJS.ReadableStream, "data")));
  expect(readers.map((reader) => reader.exitCode)).toEqual([null, null]);
  const ended = readers.map((reader) => once(reader, "exit"));
  lifeline.cut();
  expect((await Promise.all(ended)).map(([code]) => code as number)).toEqual([7, 7]);
  await remove();
});

it("ends its readers when its holder is killed with -9", async () => {
  const { path: home, remove } = await temporaryDirectory();
  const script = `
    import { spawn } from "node:child_process";
    import { openLifeline } from ${JSON.stringify(join(import.meta.dirname, "lifeline.ts"))};
    const lifeline = openLifeline(${JSON.stringify(home)});
    const reader = spawn(process.execPath, ["-e", ${JSON.stringify(READER)}], { detached: true, stdio: ["ignore", "pipe", "inherit", lifeline.readFd] });
    reader.stdout.once("data", () => process.stdout.write(String(reader.pid)));`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [data] = (await once(holder.stdout, "data")) as [Buffer];
  const reader = Number(data.toString());
  process.kill(reader, 0);
  holder.kill("SIGKILL");
  expect(await waitFor(() => !isAlive(reader), { what: "the reader to end" })).toBe(true);
  await remove();
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

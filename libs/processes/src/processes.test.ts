import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { isAlive, killGroup, processIdentity, spawnGroup, sweep, waitGone, type ProcessGroup } from "./index.ts";
import { parseStat } from "./process-identity.ts";

const path = process.env["PATH"] ?? "/usr/bin:/bin";
let count = 0;
const newMarker = (): string => `test-${process.pid}-${++count}`;
const markers: string[] = [];

/** A shell that prints the pids of what it started, then waits. */
async function spawnShell(script: string, marker = newMarker()): Promise<{ group: ProcessGroup; pids: number[] }> {
  markers.push(marker);
  const group = await spawnGroup({
    command: "sh",
    args: ["-c", `${script}\necho ready\nwait`],
    cwd: "/",
    env: { PATH: path },
    stdio: ["ignore", "pipe", "inherit"],
    marker,
  });
  const pids: number[] = [];
  for await (const line of createInterface({ input: group.child.stdout as NonNullable<typeof group.child.stdout> })) {
    if (line === "ready") break;
    pids.push(Number(line));
  }
  return { group, pids };
}

const identities = (pids: number[]) =>
  pids.map((pid) => {
    const identity = processIdentity(pid);
    if (identity === undefined) throw new Error(`process ${pid} does not run`);
    return identity;
  });

afterEach(async () => {
  for (const marker of markers.splice(0)) await sweep(marker);
});

describe("killGroup", () => {
  it("ends children that fork, change their group, start a session or ignore SIGTERM", async () => {
    const { group, pids } = await spawnShell(
      [
        "trap '' TERM",
        "sleep 300 & echo $!",
        "setsid sh -c 'echo $$; sleep 301; :' &",
        "setsid env -i sleep 302 & echo $!",
        "sh -c '(sleep 303 & echo $!)'",
        "sleep 0.2",
      ].join("\n"),
    );
    const started = [...identities(pids), group.identity];
    expect(started).toHaveLength(5);
    await killGroup(group, { graceMs: 100 });
    expect(started.filter(isAlive)).toEqual([]);
    expect((await group.exited).signal).toBe("SIGKILL");
  });

  it("does not lose a detached child without marker when the leader goes first", async () => {
    const { group, pids } = await spawnShell(
      "setsid env -i sh -c \"trap '' TERM; echo \\$\\$; sleep 300; :\" &\nsleep 0.2",
    );
    const [left] = identities(pids);
    await killGroup(group, { graceMs: 200 });
    expect(left).toBeDefined();
    expect(left !== undefined && isAlive(left)).toBe(false);
  });

  it("lets a child that heeds SIGTERM end by itself", async () => {
    // Three seconds: a SIGTERM that comes between the fork and the exec of sleep is lost, by the shell's trap.
    const { group } = await spawnShell("trap 'exit 7' TERM; sleep 3 &");
    const before = performance.now();
    await killGroup(group, { graceMs: 10_000 });
    expect(await group.exited).toEqual({ code: 7, signal: undefined });
    expect(performance.now() - before).toBeLessThan(5_000);
  });

  it("finds what a leader left behind that exited long ago", async () => {
    const { group, pids } = await spawnShell("sleep 300 & echo $!; setsid sleep 301 & echo $!\necho ready; exit 0");
    await group.exited;
    const left = identities(pids);
    await killGroup(group, { graceMs: 1_000 });
    expect(left.filter(isAlive)).toEqual([]);
  });

  it("never signals a process that has the number but not the identity", async () => {
    const { group } = await spawnShell("sleep 300 &");
    const stranger = { identity: { pid: group.identity.pid, startTicks: "1" }, marker: newMarker() };
    await killGroup(stranger, { graceMs: 50 });
    expect(isAlive(group.identity)).toBe(true);
    await killGroup(group, { graceMs: 0 });
  });

  it("ends a marker with what is below it, and neither its parent nor its namesake", async () => {
    const base = newMarker();
    const inner = await spawnShell("sleep 300 &", `${base}/one/mcp-files`);
    const outer = await spawnShell("sleep 300 &", `${base}/one`);
    const other = await spawnShell("sleep 300 &", `${base}/one2`);
    await killGroup(inner.group, { graceMs: 0 });
    expect([inner, outer, other].map(({ group }) => isAlive(group.identity))).toEqual([false, true, true]);
    expect(await sweep(`${base}/one`)).toBe(2);
    expect([outer, other].map(({ group }) => isAlive(group.identity))).toEqual([false, true]);
    await sweep(base);
  });
});

describe("spawnGroup", () => {
  it("passes on the given environment and the marker, nothing else", async () => {
    process.env["PROCESSES_TEST_SECRET"] = "hush";
    const marker = newMarker();
    const group = await spawnGroup({
      command: "env",
      args: [],
      cwd: "/",
      env: { PATH: path, GREETING: "hello" },
      stdio: ["ignore", "pipe", "inherit"],
      marker,
    });
    let text = "";
    group.child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await once(group.child, "close");
    expect(text.trim().split("\n").toSorted()).toEqual([
      "GREETING=hello",
      `OPENHERMIT_OWNER=${marker}`,
      `PATH=${path}`,
    ]);
  });

  it("says when the program can't be started", async () => {
    const options = { command: "/no/such/program", args: [], cwd: "/", env: {}, stdio: "ignore" as const };
    await expect(spawnGroup({ ...options, marker: newMarker() })).rejects.toMatchObject({ code: "ENOENT" });
    await expect(spawnGroup({ ...options, marker: "two words" })).rejects.toThrow("holds a space");
  });
});

describe("processIdentity", () => {
  it("tells a process from none, and sees it go", async () => {
    const { group } = await spawnShell("sleep 300 &");
    expect(processIdentity(group.identity.pid)).toEqual(group.identity);
    expect(await waitGone(group.identity, 20)).toBe(false);
    await killGroup(group, { graceMs: 0 });
    expect(await waitGone(group.identity, 1_000)).toBe(true);
    expect(processIdentity(group.identity.pid)).toBeUndefined();
    expect(processIdentity(-1)).toBeUndefined();
  });

  it("reads a name that holds brackets and spaces", () => {
    const stat = "42 (a ) R (b) S 7 42 42 0 -1 4194304 1 0 0 0 1 1 0 0 20 0 1 0 987654 1 1";
    expect(parseStat(42, stat)).toMatchObject({ parentPid: 7, groupId: 42, startTicks: "987654", zombie: false });
  });
});

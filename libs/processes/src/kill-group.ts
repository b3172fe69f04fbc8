import { isAlive, type ProcessIdentity } from "./process-identity.ts";
import { listProcesses, type ListedProcess } from "./process-table.ts";
import { OWNER_VARIABLE } from "./spawn-group.ts";

/** What to end: a group's leader and the marker of all that belongs to it. A ProcessGroup is one. */
export interface KillTarget {
  readonly identity: ProcessIdentity;
  readonly marker: string;
}

/** How patient to be. */
export interface KillGroupOptions {
  /** The time between SIGTERM and SIGKILL, in milliseconds. 0 sends SIGKILL at once. */
  graceMs: number;
}

/** How long a process may take to vanish after SIGKILL. More means that the kernel holds it, for example on a dead disk. */
const KILL_DEADLINE_MS = 10_000;

/**
 * Ends a group: SIGTERM to everything in it, then SIGKILL to what is left. Belonging to it are the leader's process
 * group and session, their descendants, and every process that carries the marker. Resolves when all are gone;
 * rejects when something could not be ended. A process whose identity does not match is never signalled.
 */
export async function killGroup(target: KillTarget, { graceMs }: KillGroupOptions): Promise<void> {
  await end((listed) => membersOf(listed, target), graceMs);
}

/**
 * Ends at once every process that carries the marker, and their descendants. Resolves with how many there were;
 * rejects when something could not be ended.
 */
export async function sweep(marker: string): Promise<number> {
  return await end((listed) => withDescendants(listed, (one) => covers(marker, one.owner)), 0);
}

type Select = (listed: readonly ListedProcess[]) => ListedProcess[];

async function end(select: Select, graceMs: number): Promise<number> {
  // What was found once stays found: its parent, by which it was found, may be gone at the next look.
  const known = new Map<string, ProcessIdentity>();
  const find = async (): Promise<ProcessIdentity[]> => {
    for (const one of select(await listProcesses(OWNER_VARIABLE))) known.set(`${one.pid} ${one.startTicks}`, one);
    return [...known.values()].filter(isAlive);
  };

  let members = await find();
  if (graceMs > 0 && members.length > 0) {
    signal(members, "SIGTERM");
    await allGone(members, graceMs);
    members = await find();
  }
  // What is killed may have forked in between, so it is only over when a look finds nothing.
  const deadline = performance.now() + KILL_DEADLINE_MS;
  while (members.length > 0) {
    signal(members, "SIGKILL");
    await allGone(members, Math.max(0, deadline - performance.now()));
    members = await find();
    if (members.length > 0 && performance.now() > deadline) {
      throw new Error(`processes ${members.map((one) => one.pid).join(", ")} did not end after SIGKILL`);
    }
  }
  return known.size;
}

function membersOf(listed: readonly ListedProcess[], { identity, marker }: KillTarget): ListedProcess[] {
  // A number stays taken while a group or session of that number lives. So a group of the leader's number is the
  // leader's own, unless a process that is not the leader has the number: then the old group is gone.
  const holder = listed.find((one) => one.pid === identity.pid);
  const isOurs = holder === undefined || holder.startTicks === identity.startTicks;
  return withDescendants(
    listed,
    (one) =>
      covers(marker, one.owner) ||
      (isOurs &&
        identity.startTicks !== "" &&
        (one.pid === identity.pid || one.groupId === identity.pid || one.sessionId === identity.pid)),
  );
}

function withDescendants(listed: readonly ListedProcess[], isRoot: (one: ListedProcess) => boolean): ListedProcess[] {
  const children = Map.groupBy(listed, (one) => one.parentPid);
  const found = new Set<ListedProcess>();
  const queue = listed.filter(isRoot);
  for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
    if (found.has(one)) continue;
    found.add(one);
    queue.push(...(children.get(one.pid) ?? []));
  }
  return [...found];
}

function covers(marker: string, owner: string): boolean {
  return owner === marker || owner.startsWith(`${marker}/`);
}

function signal(processes: readonly ProcessIdentity[], name: "SIGTERM" | "SIGKILL"): void {
  for (const one of processes) {
    if (!isAlive(one)) continue;
    try {
      process.kill(one.pid, name);
    } catch {
      // Gone in this moment, or not ours to signal: the next look shows which.
    }
  }
}

async function allGone(processes: readonly ProcessIdentity[], deadlineMs: number): Promise<void> {
  const until = performance.now() + deadlineMs;
  for (let pauseMs = 2; processes.some(isAlive); pauseMs = Math.min(100, pauseMs * 1.5)) {
    const leftMs = until - performance.now();
    if (leftMs <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
  }
}

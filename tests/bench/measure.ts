import { readFileSync, readdirSync } from "node:fs";

/** The median of numbers; NaN of none. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which the share `p` (0 to 1) of the numbers lies. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

const CLOCK_TICKS_PER_SECOND = 100;

/** The CPU time that a process and its ended children have used, in milliseconds, to 10 ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return (ticks * 1000) / CLOCK_TICKS_PER_SECOND;
}

/** Memory of a process in MB: resident, and private to it alone. */
export function memoryMb(pid: number): { rss: number; private: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const of = (key: string): number => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(rollup)?.[1] ?? 0) / 1024;
  return { rss: of("Rss"), private: of("Private_Clean") + of("Private_Dirty") };
}

/** The process and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      children.set(parent, [...(children.get(parent) ?? []), pid]);
    } catch {
      // It ended between the listing and the read.
    }
  }
  const tree: number[] = [];
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    tree.push(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return tree;
}

/** The CPU time of a process tree, in milliseconds; processes that end while it is measured are lost. */
export function treeCpuMs(root: number): number {
  let total = 0;
  for (const pid of processTree(root)) {
    try {
      total += cpuMs(pid);
    } catch {
      // It has ended.
    }
  }
  return total;
}

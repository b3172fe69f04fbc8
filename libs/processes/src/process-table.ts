import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { parsePsLine, parseStat, PS_COLUMNS, type ProcessStat } from "./process-identity.ts";

/** A running process and the environment it was started with. */
export interface ListedProcess extends ProcessStat {
  /** The value of the owner variable; empty when it has none or may not be read. */
  readonly owner: string;
}

/**
 * Lists the running processes that this user may look into, without this process itself.
 * `variable` names the environment variable that holds the owner.
 */
export async function listProcesses(variable: string): Promise<ListedProcess[]> {
  const listed = process.platform === "linux" ? await listFromProc(variable) : await listFromPs(variable);
  return listed.filter((one) => one.pid !== process.pid);
}

async function listFromProc(variable: string): Promise<ListedProcess[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const needle = `\0${variable}=`;
  const found = await Promise.all(
    names.map(async (name) => {
      const [stat, environment] = await Promise.all([
        readFile(`/proc/${name}/stat`, "latin1").catch(() => ""),
        readFile(`/proc/${name}/environ`, "utf8").catch(() => ""),
      ]);
      const parsed = parseStat(Number(name), stat);
      if (parsed === undefined || parsed.zombie) return undefined;
      const text = `\0${environment}`;
      const at = text.indexOf(needle);
      if (at < 0) return { ...parsed, owner: "" };
      const start = at + needle.length;
      const end = text.indexOf("\0", start);
      return { ...parsed, owner: text.slice(start, end < 0 ? undefined : end) };
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function listFromPs(variable: string): Promise<ListedProcess[]> {
  const [table, commands] = await Promise.all([
    ps(["-axww", "-o", PS_COLUMNS]),
    // -E appends the environment of one's own processes to the command, where the system allows it.
    ps(["-axwwE", "-o", "pid=,command="]).catch(() => ""),
  ]);
  const owners = new Map<number, string>();
  const owner = new RegExp(`^\\s*(\\d+)\\s.*\\s${variable}=(\\S+)`);
  for (const line of commands.split("\n")) {
    const match = owner.exec(line);
    if (match !== null) owners.set(Number(match[1]), match[2] as string);
  }
  return table.split("\n").flatMap((line) => {
    const parsed = parsePsLine(line);
    return parsed === undefined || parsed.zombie ? [] : [{ ...parsed, owner: owners.get(parsed.pid) ?? "" }];
  });
}

function ps(args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("ps", args, { encoding: "utf8", maxBuffer: 64 << 20, env: { LC_ALL: "C" } }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}

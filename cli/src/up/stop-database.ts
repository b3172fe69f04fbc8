import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";

/**
 * Tells the embedded PostgreSQL of a home, if one runs, to shut down fast: for when its gateway was killed and can't.
 * Does not wait; the server cuts its clients, writes its data down and ends.
 */
export function stopDatabase(home: string): void {
  try {
    const { data } = JSON.parse(readFileSync(join(home, "postgres/server.json"), "utf8")) as { data: string };
    const pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);
    if (!Number.isInteger(pid) || pid <= 1) return;
    // The file may be stale, and its number another program's by now.
    if (process.platform === "linux" && readlinkSync(`/proc/${pid}/cwd`) !== realpathSync(data)) return;
    process.kill(pid, "SIGINT");
  } catch {
    // No embedded server, or it has ended already.
  }
}

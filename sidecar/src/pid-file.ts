import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

import { processIdentity } from "@openhermit/processes";

/** Writes which process this is, `{"pid":…,"startTicks":…}`, so that a supervisor can adopt it. Returns how to take it back. */
export function writePidFile(path: string): () => void {
  const text = JSON.stringify(processIdentity(process.pid) ?? { pid: process.pid, startTicks: "" });
  // A reader sees the old file or the new one, never half of one.
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return () => {
    try {
      if (readFileSync(path, "utf8") === text) rmSync(path);
    } catch {
      // Gone already.
    }
  };
}

import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { join } from "node:path";

/** A pipe to which nobody writes: its end tells every process that reads it that this one is gone. */
export interface Lifeline {
  /** The end to hand on. The same for each gateway of this process, so that sidecars outlive a gateway that crashes. */
  readonly readFd: number;
  /** Lets everybody who reads it end. The death of this process does the same. Idempotent. */
  cut(): void;
}

/**
 * Opens a lifeline. A named pipe, since Node hands out only one end of an unnamed one; it loses its name at once, so
 * that no other process can hold it. See docs/decisions/0007.
 */
export function openLifeline(home: string): Lifeline {
  const path = join(home, `.lifeline-${process.pid}`);
  rmSync(path, { force: true });
  execFileSync("mkfifo", ["-m", "600", path], { stdio: "ignore" });
  try {
    // The reader first: opening the writer without one fails.
    const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeFd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    let open = true;
    return {
      readFd,
      cut: () => {
        if (!open) return;
        open = false;
        closeSync(writeFd);
        closeSync(readFd);
      },
    };
  } finally {
    rmSync(path, { force: true });
  }
}

import { rmSync, statSync, writeFileSync } from "node:fs";

/** Room on the disk that is kept for the moment when there is no other. */
export interface SpareFile {
  /** Takes the room, if it is not taken and the disk has it. */
  fill(): void;
  /** Gives the room back; false when there was none. */
  release(): boolean;
}

const SPARE_BYTES = 256 * 1024;

/** A file of 256 KiB: enough to write down how some hundred turns ended. */
export function createSpareFile(path: string): SpareFile {
  return {
    fill() {
      try {
        if (statSync(path, { throwIfNoEntry: false })?.size === SPARE_BYTES) return;
        writeFileSync(path, Buffer.alloc(SPARE_BYTES, 0x5a), { mode: 0o600 });
      } catch {
        // A disk that is full at the start has no room to spare; the sidecar runs without.
        rmSync(path, { force: true });
      }
    },
    release() {
      if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
      rmSync(path, { force: true });
      return true;
    },
  };
}

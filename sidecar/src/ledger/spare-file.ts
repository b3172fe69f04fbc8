import { rmSync, statSync, writeFileSync } from "node:fs";

/** Room on the disk that is kept for the moment when there is no other. */
export interface SpareFile {
  /** Takes the room, if it is not taken; false when the disk does not have it. */
  fill(): boolean;
  /** Gives the room back; false when there was none. */
  release(): boolean;
}

// More than the write-ahead log has (wal_autocheckpoint in ledger-store.ts): so the log can always be written into the file,
// and with the room that gives back, the ends of turns can be written and what is over can go.
const SPARE_BYTES = 3 * 1024 * 1024;

/** A file of 3 MiB. */
export function createSpareFile(path: string): SpareFile {
  return {
    fill() {
      try {
        if (statSync(path, { throwIfNoEntry: false })?.size === SPARE_BYTES) return true;
        writeFileSync(path, Buffer.alloc(SPARE_BYTES, 0x5a), { mode: 0o600 });
        return true;
      } catch {
        rmSync(path, { force: true });
        return false;
      }
    },
    release() {
      if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
      rmSync(path, { force: true });
      return true;
    },
  };
}

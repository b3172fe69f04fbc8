import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/** Writes a file with mode 0600 and waits for the disk. */
export function writeFileDurably(path: string, text: string | Buffer): void {
  const fd = openSync(path, "w", 0o600);
  try {
    writeSync(fd, Buffer.from(text));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

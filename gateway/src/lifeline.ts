import { Socket } from "node:net";

/**
 * Calls back once when the other end of the pipe is closed, by whatever death of its owner. See docs/decisions/0007.
 * The descriptor stays open for the sidecars, which inherit it.
 */
export function watchLifeline(fd: number, onGone: () => void): void {
  const pipe = new Socket({ fd, readable: true, writable: false });
  let gone = false;
  const tell = () => {
    if (!gone) {
      gone = true;
      onGone();
    }
  };
  pipe.on("error", tell);
  pipe.on("close", tell);
  pipe.on("end", tell);
  pipe.resume();
  pipe.unref();
}

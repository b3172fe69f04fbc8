import { fstatSync } from "node:fs";
import { Socket } from "node:net";

import { invalidArgument } from "@openhermit/errors";

/**
 * Watches a file descriptor that the supervisor holds the other end of: its end means that the supervisor is gone.
 * Whatever is read is ignored. Returns how to stop. Errors: LIFELINE_UNUSABLE.
 */
export function watchLifeline(fd: number, onGone: () => void): () => void {
  let socket: Socket;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isSocket()) throw new Error("it is not a pipe or a socket");
    socket = new Socket({ fd, readable: true, writable: false });
  } catch (error) {
    throw invalidArgument("LIFELINE_UNUSABLE", `file descriptor ${fd} of OPENHERMIT_LIFELINE_FD can't be watched`, {
      hint: "pass one end of a pipe, or unset the variable",
      cause: error,
    });
  }
  let watching = true;
  const gone = (): void => {
    if (!watching) return;
    watching = false;
    socket.destroy();
    onGone();
  };
  socket.on("end", gone).on("error", gone).on("close", gone).resume();
  return () => {
    watching = false;
    socket.destroy();
  };
}

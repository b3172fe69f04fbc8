/** The channel on which changes of access reach every gateway. */
export const ACCESS_CHANNEL = "openhermit_access";

/** A change, as announced. */
export type AccessNotice =
  /** Members, service accounts, teams or grants are others now. */
  | { kind: "directory" }
  /** A token was revoked. */
  | { kind: "token"; accessor: string }
  /** A browser session ended. */
  | { kind: "session"; sessionId: string };

/** Reads a payload; undefined for one of a newer gateway. */
export function decodeNotice(payload: string): AccessNotice | undefined {
  const [kind, id] = payload.split(" ");
  if (kind === "directory") return { kind };
  if (id === undefined || id === "") return undefined;
  if (kind === "token") return { kind, accessor: id };
  if (kind === "session") return { kind, sessionId: id };
  return undefined;
}

/** The payload of a notice. */
export function encodeNotice(notice: AccessNotice): string {
  switch (notice.kind) {
    case "directory":
      return notice.kind;
    case "token":
      return `${notice.kind} ${notice.accessor}`;
    case "session":
      return `${notice.kind} ${notice.sessionId}`;
  }
}

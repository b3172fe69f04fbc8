import { sql, type Queryable } from "@openhermit/postgres";

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

/** Tells every gateway, when the transaction commits. Nothing for none; alike ones are told once. */
export async function announce(tx: Queryable, notices: readonly AccessNotice[]): Promise<void> {
  if (notices.length === 0) return;
  const payloads = notices.map(encodeNotice);
  await tx.query(
    sql`SELECT pg_notify(${ACCESS_CHANNEL}, payload) FROM unnest(${[...new Set(payloads)]}::text[]) AS payload`,
  );
}

/** Reads a payload; undefined for one of a newer gateway. */
export function decodeNotice(payload: string): AccessNotice | undefined {
  const [kind, id] = payload.split(" ");
  if (kind === "directory") return { kind };
  if (id === undefined || id === "") return undefined;
  if (kind === "token") return { kind, accessor: id };
  if (kind === "session") return { kind, sessionId: id };
  return undefined;
}

function encodeNotice(notice: AccessNotice): string {
  switch (notice.kind) {
    case "directory":
      return notice.kind;
    case "token":
      return `${notice.kind} ${notice.accessor}`;
    case "session":
      return `${notice.kind} ${notice.sessionId}`;
  }
}

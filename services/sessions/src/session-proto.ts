import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { isUuid } from "@openhermit/ids";
import { SessionSchema, type Session } from "@openhermit/protocol/sessions/v1/session";
import type { SessionCursor } from "./session-store.ts";
import type { SessionRecord } from "./session.ts";
import { pageTokenInvalid } from "./sessions-errors.ts";

/** A session as callers see it. */
export function toSessionMessage(session: SessionRecord): Session {
  const { createTime, lastActivityTime, ...same } = session;
  return create(SessionSchema, {
    ...same,
    createTime: timestampFromDate(createTime),
    lastActivityTime: timestampFromDate(lastActivityTime),
  });
}

/** Where the next page begins, as a token. */
export function encodePageToken(cursor: SessionCursor | undefined): string {
  return cursor === undefined ? "" : Buffer.from(`${cursor.sendTime} ${cursor.id}`).toString("base64url");
}

/** The cursor in a token; undefined for the first page. Throws PAGE_TOKEN_INVALID. */
export function decodePageToken(token: string): SessionCursor | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString();
  const sendTime = text.slice(0, -37);
  const id = text.slice(-36);
  if (!TIME.test(sendTime) || !isUuid(id) || Number.isNaN(Date.parse(sendTime))) throw pageTokenInvalid();
  return { sendTime, id };
}

const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?Z$/;

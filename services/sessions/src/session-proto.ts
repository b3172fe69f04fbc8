import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { isUuid } from "@openhermit/ids";
import { decodePageToken, pageTokenInvalid } from "@openhermit/paging";
import { SessionSchema, type Session } from "@openhermit/protocol/sessions/v1/session";
import type { SessionCursor } from "./session-store.ts";
import type { SessionRecord } from "./session.ts";

/** A session as callers see it. */
export function toSessionMessage(session: SessionRecord): Session {
  const { createTime, lastActivityTime, ...same } = session;
  return create(SessionSchema, {
    ...same,
    createTime: timestampFromDate(createTime),
    lastActivityTime: timestampFromDate(lastActivityTime),
  });
}

const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?Z$/;
const ID = /^[0-9a-f-]{36}$/;

/** Where a page ends; undefined for the token of the first one. Throws PAGE_TOKEN_INVALID. */
export function pageEndOf(token: string): SessionCursor | undefined {
  const [sendTime, id] = decodePageToken(token, [TIME, ID]) ?? [];
  if (sendTime === undefined || id === undefined) return undefined;
  if (!isUuid(id) || Number.isNaN(Date.parse(sendTime))) throw pageTokenInvalid();
  return { sendTime, id };
}

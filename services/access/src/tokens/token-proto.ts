import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { TokenSchema, type Token } from "@openhermit/protocol/access/v1/token";
import type { StoredToken } from "./token.ts";

/** A stored token as a message; its secret is nowhere. */
export function toTokenMessage({
  createTime,
  expireTime,
  lastUseTime,
  revokeTime,
  scopes,
  ...rest
}: StoredToken): Token {
  return create(TokenSchema, {
    ...rest,
    scopes: [...scopes],
    createTime: timestampFromDate(createTime),
    expireTime: timestampFromDate(expireTime),
    ...(lastUseTime !== null && { lastUseTime: timestampFromDate(lastUseTime) }),
    ...(revokeTime !== null && { revokeTime: timestampFromDate(revokeTime) }),
  });
}

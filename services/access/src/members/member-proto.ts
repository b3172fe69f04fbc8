import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { MemberSchema, type Member } from "@openhermit/protocol/access/v1/member";
import type { StoredMember } from "./member.ts";

/** A stored member as a message. */
export function toMemberMessage(member: StoredMember): Member {
  const { id, displayName, role, state, teamIds, external, inviteExpireTime, lastLoginTime } = member;
  return create(MemberSchema, {
    id,
    displayName,
    role,
    state,
    teamIds: [...teamIds],
    external,
    createTime: timestampFromDate(member.createTime),
    updateTime: timestampFromDate(member.updateTime),
    ...(inviteExpireTime === null ? {} : { inviteExpireTime: timestampFromDate(inviteExpireTime) }),
    ...(lastLoginTime === null ? {} : { lastLoginTime: timestampFromDate(lastLoginTime) }),
  });
}

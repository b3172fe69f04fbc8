import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RecordChanges } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Database, Queryable } from "@openhermit/postgres";
import { MemberSchema, type Member } from "@openhermit/protocol/access/v1/member";
import type { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { principalOf, type CallOf } from "../access-call.ts";
import type { Actor } from "../principal.ts";
import { changeMember, inviteMember, removeMember, renewInvite, type MemberAuthor } from "./change-member.ts";
import { memberNotFound } from "./member.ts";
import { toMemberMessage } from "./member-proto.ts";
import { listMembers, readMember } from "./member-store.ts";

/** What the RPCs of members work on. */
export interface MemberRpcOptions {
  database: Database;
  now: () => Date;
  /** Runs the work in a transaction that holds the lock of access. */
  write<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Who makes a call. */
  call: CallOf;
  recordChanges(actor: Actor): RecordChanges;
  /** The link of an invite. */
  inviteUrl(code: string): string;
  /** Called after a change, with the sessions that ended, so that it is known here at once. */
  changed(endedSessions: readonly string[]): Promise<void>;
}

const MEMBER_ID = /^[a-z][a-z0-9-]{0,62}$/;

/** The RPCs of members, in the order of the proto. */
export function createMemberRpcs(options: MemberRpcOptions): ServiceImpl<typeof MemberService> {
  const { database, write } = options;

  function authorOf(context: HandlerContext): MemberAuthor {
    const call = options.call(context);
    return { principal: principalOf(call), record: options.recordChanges(call.actor), now: options.now() };
  }

  async function read(id: string): Promise<Member> {
    const member = await readMember(database, id);
    if (member === undefined) throw memberNotFound(id);
    return toMemberMessage(member);
  }

  return {
    async inviteMember(request, context) {
      const { code, expireTime } = await write((tx) => inviteMember(tx, request, authorOf(context)));
      await options.changed([]);
      return {
        member: await read(request.memberId),
        inviteUrl: options.inviteUrl(code),
        expireTime: timestampFromDate(expireTime),
      };
    },

    async renewInvite({ memberId }, context) {
      const { code, expireTime } = await write((tx) => renewInvite(tx, memberId, authorOf(context)));
      return { inviteUrl: options.inviteUrl(code), expireTime: timestampFromDate(expireTime) };
    },

    async getMember({ memberId }) {
      return { member: await read(memberId) };
    },

    async listMembers({ pageSize, pageToken }) {
      const size = pageSizeOf(pageSize);
      const [afterId = ""] = decodePageToken(pageToken, [MEMBER_ID]) ?? [];
      const { page, nextPageToken } = cutPage(await listMembers(database, afterId, size + 1), size, ({ id }) => [id]);
      return { members: page.map(toMemberMessage), nextPageToken };
    },

    async updateMember({ member, updateMask }, context) {
      const request = member ?? create(MemberSchema);
      const ended = await write((tx) => changeMember(tx, request, updateMask, authorOf(context)));
      if (ended !== undefined) await options.changed(ended);
      return { member: await read(request.id) };
    },

    async removeMember({ memberId }, context) {
      const ended = await write((tx) => removeMember(tx, memberId, authorOf(context)));
      await options.changed(ended);
      return {};
    },
  };
}

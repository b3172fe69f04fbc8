import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Change } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Queryable } from "@openhermit/postgres";
import { GrantSchema, type Grant } from "@openhermit/protocol/access/v1/grant";
import type { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { principalOf, subjectName } from "../access-call.ts";
import { announce } from "../access-channel-store.ts";
import { SLUG, type AccessRpcOptions } from "../access-rpc-options.ts";
import { checkSubjectExists, subjectFrom } from "../directory/check-subject.ts";
import { adminTransaction } from "../rights/admin-transaction.ts";
import { roleName } from "../rights/role-name.ts";
import { deleteGrant, listGrants, readGrant, writeGrant } from "./grant-store.ts";
import { grantName, grantNotFound, type StoredGrant } from "./grant.ts";

const HOLDER_KINDS = [SubjectKind.MEMBER, SubjectKind.SERVICE_ACCOUNT, SubjectKind.TEAM];
const KIND = /^[1-9]$/;

/** The RPCs of grants, in the order of the proto. */
export function createGrantRpcs(options: Omit<AccessRpcOptions, "facts">): ServiceImpl<typeof GrantService> {
  const { database, log, call, recordChanges, changed } = options;

  /** Changes a grant, if `work` says what changed. */
  async function change<T>(
    context: HandlerContext,
    work: (tx: Queryable) => Promise<{ result: T; change?: Omit<Change, "targetType"> }>,
  ): Promise<T> {
    const { actor, principal } = call(context);
    const { result, change: done } = await adminTransaction(database, principalOf({ actor, principal }), async (tx) => {
      const outcome = await work(tx);
      if (outcome.change !== undefined) {
        await recordChanges(actor)(tx, [{ ...outcome.change, targetType: "grant" }]);
        await announce(tx, [{ kind: "directory" }]);
      }
      return outcome;
    });
    if (done !== undefined) {
      const caller = subjectName(actor.subject);
      log.info({ grant: done.targetId, action: done.action, caller }, "grant changed");
      await changed();
    }
    return result;
  }

  return {
    async putGrant({ grant: asked }, context) {
      const { agentId = "", role = Role.UNSPECIFIED } = asked ?? {};
      const subject = subjectFrom(asked?.subject, HOLDER_KINDS);
      const { subject: creator } = principalOf(call(context));
      const grant = await change(context, async (tx) => {
        await checkSubjectExists(tx, subject);
        const before = await readGrant(tx, agentId, subject);
        if (before?.role === role) return { result: before };
        await writeGrant(tx, { agentId, subject, role, creator });
        const fields = [
          { path: "role", before: before === undefined ? "" : roleName(before.role), after: roleName(role) },
        ];
        return {
          result: await readGrant(tx, agentId, subject),
          change: { action: "grants.put", targetId: grantName({ agentId, subject }), fields },
        };
      });
      return grant === undefined ? {} : { grant: toMessage(grant) };
    },

    async listGrants({ pageSize, pageToken, agentId, subject }) {
      const key = decodePageToken(pageToken, [SLUG, KIND, SLUG]);
      const after = key && {
        agentId: key[0] ?? "",
        subject: { kind: Number(key[1]) as SubjectKind, id: key[2] ?? "" },
      };
      const of = subject === undefined || subject.kind === SubjectKind.UNSPECIFIED ? undefined : subject;
      const size = pageSizeOf(pageSize);
      const found = await listGrants(database, { agentId, subject: of }, after, size + 1);
      const { page, nextPageToken } = cutPage(found, size, (last) => [
        last.agentId,
        String(last.subject.kind),
        last.subject.id,
      ]);
      return { grants: page.map(toMessage), nextPageToken };
    },

    async deleteGrant({ agentId, subject: message }, context) {
      const subject = subjectFrom(message, HOLDER_KINDS);
      await change(context, async (tx) => {
        const before = await readGrant(tx, agentId, subject);
        if (before === undefined) throw grantNotFound(agentId, subject);
        await deleteGrant(tx, agentId, subject);
        const fields = [{ path: "role", before: roleName(before.role), after: "" }];
        return {
          result: undefined,
          change: { action: "grants.delete", targetId: grantName({ agentId, subject }), fields },
        };
      });
      return {};
    },
  };
}

function toMessage({ agentId, subject, role, creator, createTime }: StoredGrant): Grant {
  return create(GrantSchema, {
    agentId,
    subject: { ...subject },
    role,
    creator: { ...creator },
    createTime: timestampFromDate(createTime),
  });
}

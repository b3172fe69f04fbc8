import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Change } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Queryable } from "@openhermit/postgres";
import { ServiceAccountSchema, type ServiceAccount } from "@openhermit/protocol/access/v1/service_account";
import type { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { SubjectKind, type Role } from "@openhermit/protocol/access/v1/subject";
import { principalOf, subjectName } from "../access-call.ts";
import { announce } from "../access-channel-store.ts";
import { SLUG, type AccessRpcOptions } from "../access-rpc-options.ts";
import { adminTransaction, checkRoleWithin } from "../rights/admin-transaction.ts";
import { roleName } from "../rights/role-name.ts";
import { revokeTokensOf } from "../tokens/revoke-tokens.ts";
import {
  deleteServiceAccount,
  insertServiceAccount,
  listServiceAccounts,
  readServiceAccount,
  updateServiceAccount,
} from "./service-account-store.ts";
import {
  changedTraits,
  newTraits,
  serviceAccountExists,
  serviceAccountNotFound,
  wantedTraits,
  type StoredServiceAccount,
} from "./service-account.ts";

/** What the RPCs of service accounts work on. */
export interface ServiceAccountRpcOptions extends Omit<AccessRpcOptions, "facts"> {
  /** Tokens were revoked here. */
  onRevoked: (accessors: readonly string[]) => void;
}

const TARGET = "service-account";

/** The RPCs of service accounts, in the order of the proto. */
export function createServiceAccountRpcs(options: ServiceAccountRpcOptions): ServiceImpl<typeof ServiceAccountService> {
  const { database, log, call, recordChanges, changed } = options;

  /** Changes an account, if `work` says what changed. Returns the account, undefined when it is gone. */
  async function change(
    context: HandlerContext,
    id: string,
    work: (tx: Queryable, rank: Role) => Promise<readonly Change[]>,
  ): Promise<StoredServiceAccount | undefined> {
    const { actor, principal } = call(context);
    const { account, done } = await adminTransaction(database, principalOf({ actor, principal }), async (tx, rank) => {
      const changes = await work(tx, rank);
      await recordChanges(actor)(tx, changes);
      if (changes.length > 0) await announce(tx, [{ kind: "directory" }]);
      return { account: await readServiceAccount(tx, id), done: changes[0]?.action };
    });
    if (done !== undefined) {
      const caller = subjectName(actor.subject);
      log.info({ service_account_id: id, action: done, caller }, "service account changed");
      await changed();
    }
    return account;
  }

  async function readWithin(tx: Queryable, id: string, rank: Role): Promise<StoredServiceAccount> {
    const account = await readServiceAccount(tx, id);
    if (account === undefined) throw serviceAccountNotFound(id);
    checkRoleWithin(rank, account.role);
    return account;
  }

  return {
    async createServiceAccount({ serviceAccount }, context) {
      const request = serviceAccount ?? create(ServiceAccountSchema);
      const { id } = request;
      const traits = newTraits(request);
      const { subject } = principalOf(call(context));
      const account = await change(context, id, async (tx, rank) => {
        checkRoleWithin(rank, traits.role);
        if (!(await insertServiceAccount(tx, id, traits, subject))) throw serviceAccountExists(id);
        const fields = changedTraits(undefined, traits);
        return [{ action: "service-accounts.create", targetType: TARGET, targetId: id, fields }];
      });
      return account === undefined ? {} : { serviceAccount: toMessage(account) };
    },

    async getServiceAccount({ serviceAccountId }) {
      const account = await readServiceAccount(database, serviceAccountId);
      if (account === undefined) throw serviceAccountNotFound(serviceAccountId);
      return { serviceAccount: toMessage(account) };
    },

    async listServiceAccounts({ pageSize, pageToken }) {
      const size = pageSizeOf(pageSize);
      const found = await listServiceAccounts(database, decodePageToken(pageToken, [SLUG])?.[0] ?? "", size + 1);
      const { page, nextPageToken } = cutPage(found, size, ({ id }) => [id]);
      return { serviceAccounts: page.map(toMessage), nextPageToken };
    },

    async updateServiceAccount({ serviceAccount, updateMask }, context) {
      const request = serviceAccount ?? create(ServiceAccountSchema);
      const { id } = request;
      const account = await change(context, id, async (tx, rank) => {
        const before = await readWithin(tx, id, rank);
        const wanted = wantedTraits(before, request, updateMask);
        checkRoleWithin(rank, wanted.role);
        const fields = changedTraits(before, wanted);
        if (fields.length === 0) return [];
        await updateServiceAccount(tx, id, wanted);
        return [{ action: "service-accounts.update", targetType: TARGET, targetId: id, fields }];
      });
      if (account === undefined) throw serviceAccountNotFound(id);
      return { serviceAccount: toMessage(account) };
    },

    async deleteServiceAccount({ serviceAccountId: id }, context) {
      let revoked: string[] = [];
      await change(context, id, async (tx, rank) => {
        const { role } = await readWithin(tx, id, rank);
        revoked = await revokeTokensOf(tx, { kind: SubjectKind.SERVICE_ACCOUNT, id });
        await deleteServiceAccount(tx, id);
        const fields = [{ path: "role", before: roleName(role), after: "" }];
        return [
          { action: "service-accounts.delete", targetType: TARGET, targetId: id, fields },
          ...revoked.map((targetId) => ({ action: "tokens.revoke", targetType: "token", targetId })),
        ];
      });
      options.onRevoked(revoked);
      return {};
    },
  };
}

function toMessage({ createTime, creator, teamIds, ...rest }: StoredServiceAccount): ServiceAccount {
  return create(ServiceAccountSchema, {
    ...rest,
    teamIds: [...teamIds],
    creator: { ...creator },
    createTime: timestampFromDate(createTime),
  });
}

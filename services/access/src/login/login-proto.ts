import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { IdentitySchema, type Identity } from "@openhermit/protocol/access/v1/login_service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { DirectoryContent } from "../directory/directory-content.ts";
import type { Principal, SubjectRef } from "../principal.ts";
import { effectiveRole } from "../rights/decide.ts";
import { formatScope } from "../rights/scope.ts";

/** Who a principal is. */
export function toIdentity(directory: DirectoryContent, principal: Principal): Identity {
  const { subject, credential } = principal;
  return create(IdentitySchema, {
    subject,
    displayName: displayNameOf(directory, subject),
    role: effectiveRole({ directory }, principal),
    teamIds: [...directory.teamsOf(subject)].toSorted(),
    ...credentialOf(credential),
  });
}

function credentialOf(
  credential: Principal["credential"],
): Pick<MessageInitShape<typeof IdentitySchema>, "scopes" | "accessor" | "expireTime" | "loginTime"> {
  switch (credential.kind) {
    case "operator-token":
      return {};
    case "session":
      return {
        expireTime: timestampFromDate(credential.expireTime),
        loginTime: timestampFromDate(credential.loginTime),
      };
    case "token":
      return {
        scopes: credential.scopes.map(formatScope),
        accessor: credential.accessor,
        expireTime: timestampFromDate(credential.expireTime),
        ...(credential.login ? { loginTime: timestampFromDate(credential.createTime) } : {}),
      };
  }
}

function displayNameOf(directory: DirectoryContent, { kind, id }: SubjectRef): string {
  switch (kind) {
    case SubjectKind.LOCAL_OPERATOR:
      return "local operator";
    case SubjectKind.MEMBER:
      return directory.member(id)?.displayName ?? id;
    case SubjectKind.SERVICE_ACCOUNT:
      return directory.serviceAccount(id)?.displayName ?? id;
    default:
      return id;
  }
}

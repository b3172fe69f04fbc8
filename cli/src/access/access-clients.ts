import { createClient, type Client } from "@connectrpc/connect";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import type { Gateway } from "../gateway-client.ts";

/** The clients of the access domain. Apart from the others, since most commands do without. */
export interface AccessClients {
  readonly audit: Client<typeof AuditService>;
  readonly grants: Client<typeof GrantService>;
  readonly login: Client<typeof LoginService>;
  readonly members: Client<typeof MemberService>;
  readonly serviceAccounts: Client<typeof ServiceAccountService>;
  readonly teams: Client<typeof TeamService>;
  readonly tokens: Client<typeof TokenService>;
}

/** Makes the clients, over the connection of the gateway. */
export function accessClients({ transport }: Gateway): AccessClients {
  return {
    audit: createClient(AuditService, transport),
    grants: createClient(GrantService, transport),
    login: createClient(LoginService, transport),
    members: createClient(MemberService, transport),
    serviceAccounts: createClient(ServiceAccountService, transport),
    teams: createClient(TeamService, transport),
    tokens: createClient(TokenService, transport),
  };
}

import { accessClients } from "../access/access-clients.ts";
import { roleOf, roleOption, type RoleWord } from "../access/role-option.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit service-accounts create ACCOUNT`. */
export const declareServiceAccountsCreate: DeclareVerb = (accounts, cli) => {
  accounts
    .command("create")
    .argument("<new-account>", "an id: lower-case letters, digits, dashes")
    .description("make a service account")
    .addOption(roleOption("--role <role>", "the most its tokens can do").default("viewer"))
    .option("--name <name>", "the name shown to people")
    .action(async (id: string, options: { role: RoleWord; name?: string }) => {
      const clients = accessClients(await cli.gateway());
      await clients.serviceAccounts.createServiceAccount({
        serviceAccount: { id, role: roleOf(options.role), displayName: options.name ?? "" },
      });
      cli.terminal.say(
        `service account ${id} is made; let it in: bin/hermit tokens create --service-account ${id} --scope SCOPE`,
      );
    });
};

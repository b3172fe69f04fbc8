import { accessClients } from "../access/access-clients.ts";
import { roleOf, roleOption, type RoleWord } from "../access/role-option.ts";
import { CliError } from "../cli-error.ts";
import type { DeclareVerb } from "../declare-verb.ts";

interface UpdateOptions {
  role?: RoleWord;
  name?: string;
  disable?: boolean;
  enable?: boolean;
}

/** `hermit service-accounts update ACCOUNT`. */
export const declareServiceAccountsUpdate: DeclareVerb = (accounts, cli) => {
  accounts
    .command("update")
    .argument("<account>", "the account's id")
    .description("change the role or name, or switch its tokens off and on")
    .addOption(roleOption("--role <role>", "the most its tokens can do"))
    .option("--name <name>", "the name shown to people")
    .option("--disable", "its tokens do nothing from now on")
    .option("--enable", "its tokens work again")
    .action(async (id: string, options: UpdateOptions) => {
      const { role, name, disable, enable } = options;
      if (disable === true && enable === true) {
        throw new CliError("--disable and --enable contradict each other", { next: "give one of them" });
      }
      const switched = disable === true || enable === true;
      const paths = [
        ...(role === undefined ? [] : ["role"]),
        ...(name === undefined ? [] : ["display_name"]),
        ...(switched ? ["disabled"] : []),
      ];
      if (paths.length === 0) {
        throw new CliError("there is nothing to change", { next: "give --role, --name, --disable or --enable" });
      }
      const clients = accessClients(await cli.gateway());
      await clients.serviceAccounts.updateServiceAccount({
        serviceAccount: {
          id,
          disabled: disable === true,
          ...(role !== undefined && { role: roleOf(role) }),
          ...(name !== undefined && { displayName: name }),
        },
        updateMask: { paths },
      });
      cli.terminal.say(`service account ${id} is changed`);
    });
};

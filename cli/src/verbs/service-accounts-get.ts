import { ServiceAccountSchema } from "@openhermit/protocol/access/v1/service_account";
import { accessClients } from "../access/access-clients.ts";
import { roleWord } from "../access/role-option.ts";
import { accountState } from "../access/service-account-view.ts";
import { subjectText } from "../access/subject-text.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import { minuteText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit service-accounts get ACCOUNT`. */
export const declareServiceAccountsGet: DeclareVerb = (accounts, cli) => {
  accounts
    .command("get")
    .argument("<account>", "the account's id")
    .description("show one service account")
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (serviceAccountId: string, options: { output: OutputFormat }) => {
      const clients = accessClients(await cli.gateway());
      const { serviceAccount } = await clients.serviceAccounts.getServiceAccount({ serviceAccountId });
      if (!serviceAccount) return;
      const { id, displayName, role, teamIds, creator, createTime } = serviceAccount;
      await printMessage(cli.terminal, options.output, {
        schema: ServiceAccountSchema,
        message: serviceAccount,
        rows: [
          ["Account", id],
          ["Name", displayName],
          ["Role", roleWord(role)],
          ["State", accountState(serviceAccount)],
          ["Teams", teamIds.join(", ")],
          ["Made by", subjectText(creator)],
          ["Made", minuteText(createTime)],
        ],
        name: id,
      });
    });
};

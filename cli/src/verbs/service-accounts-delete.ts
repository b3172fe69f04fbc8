import { accessClients } from "../access/access-clients.ts";
import { listAllTokens, lastUseText } from "../access/token-view.ts";
import { confirm } from "../ask.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit service-accounts delete ACCOUNT`. */
export const declareServiceAccountsDelete: DeclareVerb = (accounts, cli) => {
  accounts
    .command("delete")
    .argument("<account>", "the account's id")
    .description("remove a service account with its tokens and grants; asks for its name")
    .option("-y, --yes", "do not ask")
    .action(async (serviceAccountId: string, options: { yes?: boolean }) => {
      const { terminal } = cli;
      const clients = accessClients(await cli.gateway());
      if (options.yes !== true) {
        await clients.serviceAccounts.getServiceAccount({ serviceAccountId });
        const tokens = await listAllTokens(clients, { serviceAccountId });
        const count = tokens.length === 1 ? "1 token" : `${tokens.length} tokens`;
        const loss = tokens.length === 0 ? "its grants; it has no tokens." : `its grants and ${count}:`;
        terminal.say(`Service account ${serviceAccountId} loses ${loss}`);
        for (const token of tokens) terminal.say(`  ${token.accessor}  ${lastUseText(token)}  ${token.name}`);
        await confirm(cli, {
          target: `service account ${serviceAccountId}`,
          done: "deleted",
          name: serviceAccountId,
          withoutAsking: `bin/hermit service-accounts delete ${serviceAccountId} --yes`,
        });
      }
      await clients.serviceAccounts.deleteServiceAccount({ serviceAccountId });
      terminal.say(`service account ${serviceAccountId} is deleted`);
    });
};

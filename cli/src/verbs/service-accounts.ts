import type { DeclareVerb } from "../declare-verb.ts";
import { declareServiceAccountsCreate } from "./service-accounts-create.ts";
import { declareServiceAccountsDelete } from "./service-accounts-delete.ts";
import { declareServiceAccountsGet } from "./service-accounts-get.ts";
import { declareServiceAccountsList } from "./service-accounts-list.ts";
import { declareServiceAccountsUpdate } from "./service-accounts-update.ts";

const EXAMPLES = `Examples:
  $ hermit service-accounts create ci --role operator
  $ hermit tokens create --service-account ci --scope agents:one:write
  $ hermit service-accounts update ci --disable    its tokens do nothing
`;

/** `hermit service-accounts`: who programs are. */
export const declareServiceAccounts: DeclareVerb = (program, cli) => {
  const accounts = program
    .command("service-accounts")
    .description("manage accounts of programs, which come in with tokens")
    .addHelpText("before", EXAMPLES);
  declareServiceAccountsList(accounts, cli);
  declareServiceAccountsGet(accounts, cli);
  declareServiceAccountsCreate(accounts, cli);
  declareServiceAccountsUpdate(accounts, cli);
  declareServiceAccountsDelete(accounts, cli);
};

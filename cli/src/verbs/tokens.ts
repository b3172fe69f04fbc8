import type { DeclareVerb } from "../declare-verb.ts";
import { declareTokensCreate } from "./tokens-create.ts";
import { declareTokensList } from "./tokens-list.ts";
import { declareTokensRevoke } from "./tokens-revoke.ts";
import { declareTokensScopes } from "./tokens-scopes.ts";

const EXAMPLES = `Examples:
  $ TOKEN=$(hermit tokens create --scope agents:one:read --name dashboard)
  $ OPENHERMIT_TOKEN=$TOKEN hermit agents get one
  $ hermit tokens create --service-account ci --scope sessions:write --ttl 30d
  $ hermit tokens list
  $ hermit tokens revoke acc_0a1B2c3D4e5F6g7H
  $ hermit tokens scopes
`;

/** `hermit tokens`: what programs come in with. */
export const declareTokens: DeclareVerb = (program, cli) => {
  const tokens = program
    .command("tokens")
    .description("make and revoke tokens, for programs")
    .addHelpText("before", EXAMPLES);
  declareTokensList(tokens, cli);
  declareTokensCreate(tokens, cli);
  declareTokensRevoke(tokens, cli);
  declareTokensScopes(tokens, cli);
};

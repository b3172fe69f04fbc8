import { ScopeSchema } from "@openhermit/protocol/access/v1/token";
import { accessClients } from "../access/access-clients.ts";
import { roleWord } from "../access/role-option.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit tokens scopes
  $ hermit tokens scopes -o json | jq '.[] | select(.scope == "agents:read")'

A scope is resource:verb, or resource:selector:verb for one thing alone, like
agents:one:read. write includes read; * as the resource means all of them.
`;

/** `hermit tokens scopes`. */
export const declareTokensScopes: DeclareVerb = (tokens, cli) => {
  tokens
    .command("scopes")
    .description("list what tokens can be made for")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      const { terminal } = cli;
      const { scopes } = await accessClients(await cli.gateway()).tokens.listScopes({});
      await printMessages(terminal, options.output, {
        schema: ScopeSchema,
        messages: scopes,
        columns: [
          { title: "SCOPE", text: ({ scope }) => scope, paint: (_, text) => terminal.paint("bold", text) },
          { title: "SELECTOR", text: ({ selector }) => selector || "-" },
          { title: "FROM ROLE", text: ({ role }) => roleWord(role) },
          { title: "OPENS", text: ({ methods }) => [...new Set(methods.map(shortMethod))].join(" ") },
        ],
        name: ({ scope }) => scope,
        none: "There are no scopes.",
      });
    });
};

/** `FleetService/GetAgent` as `GetAgent`. */
const shortMethod = (method: string): string => method.slice(method.lastIndexOf("/") + 1);

import { IdentitySchema } from "@openhermit/protocol/access/v1/login_service";
import { accessClients } from "../access/access-clients.ts";
import { roleWord } from "../access/role-option.ts";
import { subjectText } from "../access/subject-text.ts";
import type { CredentialSource } from "../find-gateway.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import { minuteText, untilText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit whoami
  $ hermit whoami -o json | jq .role
`;

/** `hermit whoami`: who the gateway takes the caller for, and by what. */
export const declareWhoami: DeclareVerb = (program, cli) => {
  program
    .command("whoami")
    .description("say who you are to the gateway, and what you may do")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const { identity } = await accessClients(gateway).login.getIdentity({});
      if (!identity) return;
      const { subject, displayName, role, teamIds, scopes, accessor, expireTime } = identity;
      const name = subjectText(subject);
      await printMessage(cli.terminal, options.output, {
        schema: IdentitySchema,
        message: identity,
        rows: [
          ["You are", name],
          ["Name", displayName === name ? "" : displayName],
          ["Role", roleWord(role)],
          ["Teams", teamIds.join(", ")],
          ["Scopes", scopes.join(" ")],
          ["Gateway", gateway.url],
          ["By", sourceText(gateway.source)],
          ["Token", accessor],
          ["Until", expireTime ? `${minuteText(expireTime)}, ${untilText(expireTime)} more` : ""],
        ],
        name,
      });
    });
};

function sourceText(source: CredentialSource | undefined): string {
  switch (source?.kind) {
    case "environment":
      return "OPENHERMIT_TOKEN";
    case "home":
      return source.file;
    case "context":
      return `context ${source.name}`;
    case undefined:
      return "";
  }
}

import type { Token } from "@openhermit/protocol/access/v1/token";
import { accessClients } from "../access/access-clients.ts";
import { subjectText } from "../access/subject-text.ts";
import { lastUseText, listAllTokens, scopesText } from "../access/token-view.ts";
import { confirm } from "../ask.ts";
import { CliError } from "../cli-error.ts";
import { plainLine } from "../output/plain-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit tokens revoke ACCESSOR...`. */
export const declareTokensRevoke: DeclareVerb = (tokens, cli) => {
  tokens
    .command("revoke")
    .argument("<accessor...>", "the public ids of the tokens")
    .description("end tokens, and those made with them, at once; says what breaks, and asks")
    .option("-y, --yes", "do not ask")
    .action(async (accessors: string[], options: { yes?: boolean }) => {
      // Not sent, and not said again: what stands in a shell's history and a log is enough.
      if (accessors.some((accessor) => accessor.startsWith("ohm_"))) {
        throw new CliError("that is the secret of a token, not its accessor", {
          why: "an accessor is like acc_0a1B2c3D4e5F6g7H and is no secret",
          next: "bin/hermit tokens list; or OPENHERMIT_TOKEN=ohm_... bin/hermit whoami, which names its accessor",
        });
      }
      const { terminal } = cli;
      const clients = accessClients(await cli.gateway());
      if (options.yes !== true) {
        const all = await listAllTokens(clients);
        for (const accessor of accessors) for (const line of lossOf(accessor, all)) terminal.say(line);
        await confirm(cli, {
          target: accessors.length === 1 ? `token ${accessors[0]}` : `${accessors.length} tokens`,
          done: "revoked",
          withoutAsking: `bin/hermit tokens revoke ${accessors.join(" ")} --yes`,
        });
      }
      for (const accessor of accessors) {
        await clients.tokens.revokeToken({ accessor });
        terminal.say(`token ${accessor} is revoked`);
      }
    });
};

/** What does not work any more without the token. */
function lossOf(accessor: string, all: readonly Token[]): string[] {
  const token = all.find((candidate) => candidate.accessor === accessor);
  if (!token) return [`Token ${accessor} is not among those that work.`];
  const { name, subject, lastUseAddress } = token;
  const from = lastUseAddress === "" ? "" : ` from ${lastUseAddress}`;
  const made = all.filter(({ parentAccessor }) => parentAccessor === accessor);
  return [
    `Whatever uses token ${accessor}${name === "" ? "" : ` (${plainLine(name, 120)})`} can't any more:`,
    `  stands for  ${subjectText(subject)}`,
    `  may         ${plainLine(scopesText(token))}`,
    `  last used   ${lastUseText(token)}${from}`,
    ...(made.length === 0 ? [] : [`  and with it ${made.map((child) => child.accessor).join(", ")}`]),
  ];
}

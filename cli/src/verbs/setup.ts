import { MemberState, type Member } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { accessClients, type AccessClients } from "../access/access-clients.ts";
import { listAllMembers } from "../access/member-view.ts";
import { CliError } from "../cli-error.ts";
import { errorDetail } from "../error-report.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { untilText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit setup    a link that makes whoever opens it the owner

For whoever runs the gateway on this host, while there is no owner.
`;

/** `hermit setup`: prints a new link for the first owner, or says who the owner is. */
export const declareSetup: DeclareVerb = (program, cli) => {
  program
    .command("setup")
    .description("print a link with which the first owner comes in")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (options: { output: OutputFormat }) => {
      const { terminal } = cli;
      const clients = accessClients(await cli.hostGateway());
      const made = await clients.login.createSetupCode({}).catch(async (error: unknown) => {
        throw await namingOwner(error, clients);
      });
      if (options.output !== "text") {
        await printValue(terminal, options.output, { url: made.url });
        return;
      }
      terminal.line(made.url);
      terminal.say(
        `It works once, for ${untilText(made.expireTime)}. Whoever opens it becomes the owner: do not share it.`,
      );
    });
};

/** The error, with the owner's name when there is one. */
async function namingOwner(failure: unknown, clients: AccessClients): Promise<unknown> {
  if (errorDetail(failure)?.reason !== "OWNER_EXISTS") return failure;
  let members: Member[] = [];
  try {
    members = await listAllMembers(clients);
  } catch {
    // Without a name the error is still true.
  }
  const owners = members.filter(({ role, state }) => role === Role.OWNER && state !== MemberState.DISABLED);
  const [first] = owners;
  if (!first) return failure;
  return new CliError(`there is an owner already: ${owners.map(({ id }) => id).join(", ")}`, {
    next: `bin/hermit members invite NAME invites others; if the owner's password is lost: bin/hermit members renew-invite ${first.id}`,
    cause: failure,
  });
}

import { text as readAll } from "node:stream/consumers";
import { accessClients } from "../access/access-clients.ts";
import { ask, canAsk } from "../ask.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit password
  $ printf '%s\\n%s\\n' "$OLD" "$NEW" | hermit password --from-stdin

Your other sessions and logins end with the old password.
`;

/** `hermit password`: changes the password of whoever is logged in. */
export const declarePassword: DeclareVerb = (program, cli) => {
  program
    .command("password")
    .description("change your password")
    .addHelpText("before", EXAMPLES)
    .option("--from-stdin", "read two lines: the password as it is, and the new one")
    .action(async (options: { fromStdin?: boolean }) => {
      const gateway = await cli.gateway();
      const { currentPassword, newPassword } =
        options.fromStdin === true ? await readPasswords(cli) : await askPasswords(cli);
      await accessClients(gateway).login.changePassword({ currentPassword, newPassword });
      cli.terminal.say("the password is changed; your other sessions and logins have ended");
    });
};

interface Passwords {
  currentPassword: string;
  newPassword: string;
}

async function readPasswords(cli: Cli): Promise<Passwords> {
  const [currentPassword, newPassword, ...rest] = (await readAll(cli.stdin)).replace(/\r?\n$/, "").split(/\r?\n/);
  if (currentPassword === undefined || newPassword === undefined || rest.length > 0) {
    throw new CliError("stdin must be two lines", { why: "the password as it is, and the new one" });
  }
  return { currentPassword, newPassword };
}

async function askPasswords(cli: Cli): Promise<Passwords> {
  if (!canAsk(cli)) {
    throw new CliError("nobody can be asked for the password here, since this is not a terminal", {
      next: "bin/hermit password --from-stdin",
    });
  }
  const currentPassword = await askHidden(cli, "Password as it is: ");
  const newPassword = await askHidden(cli, "New password, 12 characters or more: ");
  const again = await askHidden(cli, "New password again: ");
  if (again === newPassword) return { currentPassword, newPassword };
  throw new CliError("the password is not changed", { why: "the two new ones differ", next: "bin/hermit password" });
}

async function askHidden(cli: Cli, question: string): Promise<string> {
  const typed = await ask(cli, question, { hidden: true });
  if (typed !== undefined) return typed;
  throw new CliError("the password is not changed", { exitCode: ExitCode.interrupted });
}

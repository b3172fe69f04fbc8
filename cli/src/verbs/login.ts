import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import { findGateway } from "../gateway-client.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit login`: prints a new link that opens the admin pages, once. */
export const declareLogin: DeclareVerb = (program, cli) => {
  program
    .command("login")
    .description("print a link that logs a browser in, once")
    .action(async () => {
      const { url, token } = findGateway(cli.config);
      const response = await fetch(new URL("/login-links", url), {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(10_000),
      }).catch((error: unknown) => {
        throw new CliError(`the gateway does not answer at ${url}`, { next: "bin/hermit up starts it", cause: error });
      });
      const answer = (await response.json().catch(() => ({}))) as { url?: unknown; error?: unknown };
      if (response.ok && typeof answer.url === "string") {
        cli.terminal.line(answer.url);
        cli.terminal.say("It works once. Whoever opens it is the operator: do not share it.");
        return;
      }
      throw new CliError("no login link was made", {
        why: typeof answer.error === "string" ? answer.error : `the gateway answered ${response.status}`,
        next: "bin/hermit doctor",
        exitCode: response.status === 401 ? ExitCode.loginNeeded : ExitCode.error,
      });
    });
};

import { LOCAL, withContext } from "../contexts/context.ts";
import { changeContexts } from "../contexts/context-store.ts";
import { CliError } from "../cli-error.ts";
import { findPlace } from "../find-gateway.ts";
import { endLogin } from "../login/end-login.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit logout
  $ hermit logout --context prod
`;

/** `hermit logout`: ends the token of a context, here and at its gateway. */
export const declareLogout: DeclareVerb = (program, cli) => {
  program
    .command("logout")
    .description("end the login of a context; its name and URL stay")
    .addHelpText("before", EXAMPLES)
    .action(async () => {
      const { config, terminal } = cli;
      const { context } = await findPlace(config);
      if (!context) {
        throw new CliError("there is no login to end", {
          why: "the operator token of the home is used here, and stays",
          next: "bin/hermit context list, then bin/hermit logout --context NAME",
        });
      }
      const { name, login } = context;
      if (!login) {
        terminal.say(`nobody is logged in to context ${name}`);
        return;
      }
      const ended = await endLogin(login);
      let isCurrent = false;
      await changeContexts(config.configFolder, ({ current, contexts }) => {
        isCurrent = current === name;
        const now = contexts.find((candidate) => candidate.name === name);
        return { current, contexts: now ? withContext(contexts, { ...now, login: undefined }) : contexts };
      });
      if (!ended) {
        throw new CliError(`${login.url} does not answer, so the token of ${login.subject} is only forgotten here`, {
          why: `it works until ${login.expireTime}`,
          next: `revoke it when the gateway is back: bin/hermit tokens revoke ${login.accessor}`,
        });
      }
      const back = isCurrent ? `; bin/hermit context use ${LOCAL} goes back to this host's home` : "";
      terminal.say(`logged out of ${login.url} as ${login.subject}${back}`);
    });
};

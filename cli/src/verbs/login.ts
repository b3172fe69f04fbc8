import { timestampDate } from "@bufbuild/protobuf/wkt";
import { roleWord } from "../access/role-option.ts";
import { subjectText } from "../access/subject-text.ts";
import { withContext } from "../contexts/context.ts";
import { changeContexts } from "../contexts/context-store.ts";
import { endLogin } from "../login/end-login.ts";
import { logIn } from "../login/log-in.ts";
import { findLoginTarget } from "../login/login-target.ts";
import { plainLine } from "../output/plain-text.ts";
import { minuteText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit login                                   the gateway that is used now
  $ hermit login --url https://mesh.example.com    another one
  $ hermit login --url https://mesh.example.com --context prod
  $ hermit login --paste                           the browser is elsewhere

You log in and approve on the gateway's page. The token is kept in a context,
which is the current one from then on; see hermit context --help.
`;

interface LoginOptions {
  paste?: boolean;
  browser: boolean;
}

/** `hermit login`: gets a token for this person, by way of a browser, and keeps it in a context. */
export const declareLogin: DeclareVerb = (program, cli) => {
  program
    .command("login")
    .description("log in to a gateway as yourself, with a browser")
    .addHelpText("before", EXAMPLES)
    .option("--paste", "paste the code that the page shows; for a browser elsewhere")
    .option("--no-browser", "print the link only, do not open it")
    .action(async (options: LoginOptions) => {
      const { config, terminal } = cli;
      const target = await findLoginTarget(config);
      const { name, url, insecure } = target;
      const answer = await logIn(cli, url, { paste: options.paste, browser: options.browser });
      const { token, accessor, expireTime, identity } = answer;
      const subject = plainLine(subjectText(identity?.subject));
      const login = {
        url,
        token,
        accessor,
        subject,
        expireTime: expireTime ? timestampDate(expireTime).toISOString() : "",
      };
      try {
        await changeContexts(config.configFolder, ({ contexts }) => ({
          current: name,
          contexts: withContext(contexts, { name, url, insecure, login }),
        }));
      } catch (error) {
        // A token that nobody keeps is not left behind.
        await endLogin(login);
        throw error;
      }
      if (target.known?.login) await endLogin(target.known.login);
      const role = identity ? `, ${roleWord(identity.role)}` : "";
      terminal.say(`logged in to ${url} as ${subject}${role}, until ${minuteText(expireTime)}`);
      terminal.say(`context ${name} is the current one; bin/hermit context use local goes back to this host's home`);
    });
};

import { accessClients } from "../access/access-clients.ts";
import { openBrowser } from "../login/open-browser.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { untilText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit open                 open the pages in a browser
  $ hermit open --no-browser    print the link only

For whoever runs the gateway on this host: the link logs a browser in as the
local operator, once. Everybody else opens the gateway's URL and logs in there.
`;

/** `hermit open`: opens the gateway's pages as the local operator. */
export const declareOpen: DeclareVerb = (program, cli) => {
  program
    .command("open")
    .description("open the gateway's pages in a browser, as the local operator")
    .addHelpText("before", EXAMPLES)
    .option("--no-browser", "print the link only, do not open it")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (options: { browser: boolean; output: OutputFormat }) => {
      const { config, terminal } = cli;
      const { url, expireTime } = await accessClients(await cli.hostGateway()).login.createLoginLink({});
      if (options.output !== "text") {
        await printValue(terminal, options.output, { url });
        return;
      }
      terminal.line(url);
      terminal.say(`It works once, for ${untilText(expireTime)}. Whoever opens it is the operator: do not share it.`);
      if (options.browser && config.hasScreen && !config.isRemoteShell && terminal.isTerminal.out) openBrowser(url);
    });
};

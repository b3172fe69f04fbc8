import { CliError } from "../cli-error.ts";
import { LOCAL } from "../contexts/context.ts";
import { changeContexts } from "../contexts/context-store.ts";
import { noContext } from "../find-gateway.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit context use NAME`. */
export const declareContextUse: DeclareVerb = (context, cli) => {
  context
    .command("use")
    .argument("<context>", "its name; local: the home of this host")
    .description("make a context the current one")
    .action(async (name: string) => {
      const { configFolder, homeGiven, context: named, url } = cli.config;
      if (named !== undefined) {
        throw new CliError("a context was named twice", {
          why: "OPENHERMIT_CONTEXT or --context wins over the current one, whichever that is",
          next: "unset it",
        });
      }
      await changeContexts(configFolder, (before) => {
        if (name !== LOCAL && !before.contexts.some((one) => one.name === name)) throw noContext(before, name);
        return { ...before, current: name === LOCAL ? undefined : name };
      });
      cli.terminal.say(
        name === LOCAL ? "the home of this host is used from now on" : `context ${name} is the current one`,
      );
      if (url !== undefined || homeGiven) {
        const why = url === undefined ? "OPENHERMIT_HOME" : "OPENHERMIT_URL";
        cli.terminal.say(`${why} is set and wins over it: unset it, or use --context ${name}`);
      }
    });
};

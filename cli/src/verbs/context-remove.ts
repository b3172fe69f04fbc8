import { CliError } from "../cli-error.ts";
import { LOCAL } from "../contexts/context.ts";
import { changeContexts, readContexts } from "../contexts/context-store.ts";
import { findContext } from "../find-gateway.ts";
import { endLogin } from "../login/end-login.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit context remove NAME`. */
export const declareContextRemove: DeclareVerb = (context, cli) => {
  context
    .command("remove")
    .alias("rm")
    .argument("<context>", "its name")
    .description("log out of a context and forget it")
    .action(async (name: string) => {
      const { configFolder } = cli.config;
      if (name === LOCAL) {
        throw new CliError("local stays: it is the home of this host", { next: "bin/hermit context use NAME" });
      }
      const { login } = findContext(await readContexts(configFolder), name);
      const ended = login === undefined || (await endLogin(login));
      await changeContexts(configFolder, ({ current, contexts }) => ({
        current: current === name ? undefined : current,
        contexts: contexts.filter((one) => one.name !== name),
      }));
      cli.terminal.say(`context ${name} is removed`);
      if (ended) return;
      cli.terminal.say(
        `its gateway does not answer, so its token works until ${login.expireTime};\n` +
          `revoke it when the gateway is back: bin/hermit tokens revoke ${login.accessor}`,
      );
    });
};

import { LOCAL } from "../contexts/context.ts";
import { contextJson, contextView, localView, loginLeft } from "../contexts/context-view.ts";
import { readContexts } from "../contexts/context-store.ts";
import { findContext, readGatewayFile } from "../find-gateway.ts";
import { outputOption, printRows, printValue, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit context show [NAME]`. */
export const declareContextShow: DeclareVerb = (context, cli) => {
  context
    .command("show")
    .argument("[context]", "its name; the current one without it")
    .description("show a context, without its token")
    .addOption(outputOption("text", "json", "yaml", "name"))
    .action(async (named: string | undefined, options: { output: OutputFormat }) => {
      const { config, terminal } = cli;
      const all = await readContexts(config.configFolder);
      const current = all.current ?? LOCAL;
      const name = named ?? config.context ?? current;
      const view =
        name === LOCAL
          ? localView(readGatewayFile(config.home)?.url, current)
          : contextView(findContext(all, name), current);
      if (options.output === "name") terminal.line(view.name);
      else if (options.output !== "text") await printValue(terminal, options.output, contextJson(view));
      else {
        const left = loginLeft(view);
        printRows(terminal, [
          ["Context", `${view.name}${view.current ? ", the current one" : ""}`],
          ["URL", view.url || "no gateway is running"],
          ["Home", name === LOCAL ? config.home : ""],
          ["Login", view.subject || "nobody"],
          ["Token", view.accessor],
          ["Until", left === "" ? "" : left === "ended" ? "it has ended" : `${view.expireTime}, ${left} more`],
        ]);
      }
    });
};

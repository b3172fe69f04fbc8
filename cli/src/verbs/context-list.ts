import { LOCAL } from "../contexts/context.ts";
import { contextJson, contextView, localView, loginLeft } from "../contexts/context-view.ts";
import { readContexts } from "../contexts/context-store.ts";
import { readGatewayFile } from "../find-gateway.ts";
import { outputOption, printItems, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit context list`. */
export const declareContextList: DeclareVerb = (context, cli) => {
  context
    .command("list")
    .alias("ls")
    .description("list the contexts, and the home of this host as local")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      const { config, terminal } = cli;
      const { current = LOCAL, contexts } = await readContexts(config.configFolder);
      const items = [
        localView(readGatewayFile(config.home)?.url, current),
        ...contexts.map((one) => contextView(one, current)),
      ];
      await printItems(terminal, options.output, {
        items,
        json: contextJson,
        name: ({ name }) => name,
        none: "",
        columns: [
          { title: "", text: ({ current: isCurrent }) => (isCurrent ? "*" : "") },
          { title: "CONTEXT", text: ({ name }) => name, paint: (_, text) => terminal.paint("bold", text) },
          { title: "LOGGED IN AS", text: ({ subject }) => subject || "-" },
          { title: "FOR", text: (view) => loginLeft(view) || "-" },
          { title: "URL", text: ({ url }) => url || "no gateway is running" },
        ],
      });
    });
};

import { Option } from "commander";
import { GrantSchema } from "@openhermit/protocol/access/v1/grant";
import type { Subject } from "@openhermit/protocol/access/v1/subject";
import { accessClients } from "../access/access-clients.ts";
import { roleWord } from "../access/role-option.ts";
import { parseSubject, subjectText } from "../access/subject-text.ts";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import { ageText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit grants list`. */
export const declareGrantsList: DeclareVerb = (grants, cli) => {
  grants
    .command("list")
    .alias("ls")
    .description("list the grants")
    .option("--agent <id>", "only to this agent")
    .addOption(new Option("--subject <who>", "only of alice, team:ID or service-account:ID").argParser(parseSubject))
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { agent?: string; subject?: Subject; output: OutputFormat }) => {
      const { terminal } = cli;
      const clients = accessClients(await cli.gateway());
      const filter = { agentId: options.agent ?? "", ...(options.subject && { subject: options.subject }) };
      await printMessages(terminal, options.output, {
        schema: GrantSchema,
        messages: await allPages(
          (pageToken) => clients.grants.listGrants({ ...filter, pageSize: PAGE_SIZE, pageToken }),
          (page) => page.grants,
        ),
        columns: [
          { title: "AGENT", text: ({ agentId }) => agentId, paint: (_, text) => terminal.paint("bold", text) },
          { title: "WHO", text: ({ subject }) => subjectText(subject) },
          { title: "ROLE", text: ({ role }) => roleWord(role) },
          { title: "GIVEN BY", optional: true, text: ({ creator }) => subjectText(creator) },
          { title: "SINCE", text: ({ createTime }) => ageText(createTime) },
        ],
        name: ({ agentId, subject }) => `${agentId} ${subjectText(subject)}`,
        none: "No grants. Give one: bin/hermit grants add AGENT MEMBER",
      });
    });
};

import { Argument } from "commander";
import type { Subject } from "@openhermit/protocol/access/v1/subject";
import { accessClients } from "../access/access-clients.ts";
import { parseSubject, subjectText } from "../access/subject-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit grants remove AGENT SUBJECT`. */
export const declareGrantsRemove: DeclareVerb = (grants, cli) => {
  grants
    .command("remove")
    .alias("rm")
    .argument("<agent>", "the agent's id")
    .addArgument(new Argument("<subject>", "alice, team:payments or service-account:ci").argParser(parseSubject))
    .description("take a right to one agent")
    .action(async (agentId: string, subject: Subject) => {
      const clients = accessClients(await cli.gateway());
      await clients.grants.deleteGrant({ agentId, subject });
      cli.terminal.say(`the grant of ${subjectText(subject)} on agent ${agentId} is removed`);
    });
};

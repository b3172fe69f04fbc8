import { Argument } from "commander";
import type { Subject } from "@openhermit/protocol/access/v1/subject";
import { accessClients } from "../access/access-clients.ts";
import { roleOf, roleOption, type RoleWord } from "../access/role-option.ts";
import { parseSubject, subjectText } from "../access/subject-text.ts";
import { errorDetail } from "../error-report.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit grants add AGENT SUBJECT`. */
export const declareGrantsAdd: DeclareVerb = (grants, cli) => {
  grants
    .command("add")
    .argument("<agent>", "the agent's id")
    .addArgument(new Argument("<subject>", "alice, team:payments or service-account:ci").argParser(parseSubject))
    .description("give a right to one agent, or change its role")
    .addOption(
      roleOption("--role <role>", "viewer sees it, operator also works with it", ["viewer", "operator"]).default(
        "viewer",
      ),
    )
    .action(async (agentId: string, subject: Subject, options: { role: RoleWord }) => {
      const gateway = await cli.gateway();
      const clients = accessClients(gateway);
      // A typo is told from an agent; who may give grants but not see agents gives them unseen.
      await gateway.fleet.getAgent({ agentId }).catch((error: unknown) => {
        if (errorDetail(error)?.reason === "AGENT_NOT_FOUND") throw error;
      });
      await clients.grants.putGrant({ grant: { agentId, subject, role: roleOf(options.role) } });
      cli.terminal.say(`${subjectText(subject)} is ${options.role} of agent ${agentId}`);
    });
};

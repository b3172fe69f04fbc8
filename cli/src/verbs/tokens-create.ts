import { toJson } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { TokenSchema } from "@openhermit/protocol/access/v1/token";
import { accessClients } from "../access/access-clients.ts";
import { subjectText } from "../access/subject-text.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { minuteText, parseSpan } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ TOKEN=$(hermit tokens create --scope agents:one:read --name dashboard)
  $ hermit tokens create --service-account ci --scope agents:read \\
      --scope sessions:one:write --ttl 30d

The secret goes to stdout alone. hermit tokens scopes lists what there is.
`;

interface CreateOptions {
  scope: string[];
  name?: string;
  ttl?: number;
  serviceAccount?: string;
  output: OutputFormat;
}

/** `hermit tokens create`: the secret on stdout alone, so that a variable can take it. */
export const declareTokensCreate: DeclareVerb = (tokens, cli) => {
  tokens
    .command("create")
    .description("make a token, for yourself or a service account, and print it once")
    .addHelpText("before", EXAMPLES)
    .requiredOption("--scope <scope...>", "what it may do, like agents:one:read; may be repeated")
    .option("--name <text>", "what it is for, in your words")
    .option("--ttl <span>", "how long it works, like 12h or 30d (default 90d, at most 366d)", parseTtl)
    .option("--service-account <id>", "the account it stands for, instead of you")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (options: CreateOptions) => {
      const { terminal } = cli;
      const gateway = await cli.gateway();
      const { token, secret } = await accessClients(gateway).tokens.createToken({
        scopes: options.scope,
        name: options.name ?? "",
        serviceAccountId: options.serviceAccount ?? "",
        ...(options.ttl !== undefined && { ttl: durationFromMs(options.ttl) }),
      });
      if (options.output !== "text") {
        await printValue(terminal, options.output, { secret, ...(token && { token: toJson(TokenSchema, token) }) });
        return;
      }
      terminal.line(secret);
      if (!token) return;
      terminal.say(`It is not shown again. It stands for ${subjectText(token.subject)}: ${token.scopes.join(" ")}`);
      terminal.say(`  works until  ${minuteText(token.expireTime)}`);
      terminal.say(`  use it       OPENHERMIT_TOKEN=ohm_... OPENHERMIT_URL=${gateway.url} bin/hermit whoami`);
      terminal.say(`  end it       bin/hermit tokens revoke ${token.accessor}`);
    });
};

function parseTtl(text: string): number {
  const span = parseSpan(text);
  if (span === undefined || span === 0) throw new InvalidArgumentError("It must be like 12h or 30d.");
  return span;
}

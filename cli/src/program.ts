import { Command, CommanderError, Option } from "commander";
import type { Readable, Writable } from "node:stream";
import type { Cli } from "./cli.ts";
import type { CliConfig } from "./config.ts";
import type { FoundGateway } from "./find-gateway.ts";
import type { Gateway } from "./gateway-client.ts";
import { applyGlobalFlags, readGlobalFlags, takesValue } from "./global-flags.ts";
import type { createTerminal, Terminal } from "./output/terminal.ts";
import { verbs } from "./verb-table.ts";

type Stream = Writable & { isTTY?: boolean; columns?: number };

/** The process, as far as the program needs it. */
export interface ProgramOptions {
  args: readonly string[];
  readConfig(): CliConfig;
  stdin: Readable & { isTTY?: boolean };
  stdout: Stream;
  stderr: Stream;
  createTerminal: typeof createTerminal;
  onInterrupt: Cli["onInterrupt"];
}

const EXAMPLES = `Examples:
  $ hermit up                                  start the fleet of examples/fleet
  $ hermit chat one "use echo to say hello"    talk with an agent
  $ hermit logs -f                             see what the agents do
  $ hermit agents list                         see how they are
`;

/** Runs one command and returns its exit code. Reports every error; never throws. */
export async function runProgram(options: ProgramOptions): Promise<number> {
  const { stdout, stderr } = options;
  // Hands are used to ask every program so.
  const args = options.args[0] === "--version" ? ["version", ...options.args.slice(1)] : options.args;
  let terminal = options.createTerminal({ stdout, stderr, color: "auto", noColor: false });
  let gateway: Gateway | undefined;
  try {
    const global = readGlobalFlags(args);
    const config = applyGlobalFlags(options.readConfig(), global);
    terminal = options.createTerminal({ stdout, stderr, color: global.color, noColor: config.noColor });
    let exitCode = 0;
    const cli: Cli = {
      config,
      terminal,
      stdin: options.stdin,
      onInterrupt: options.onInterrupt,
      gateway: async () => {
        const { findGateway } = await import("./find-gateway.ts");
        return (gateway ??= await connect(await findGateway(config)));
      },
      hostGateway: async () => {
        const { findHostGateway } = await import("./find-gateway.ts");
        return (gateway ??= await connect(await findHostGateway(config)));
      },
      setExitCode: (code) => (exitCode = code),
    };
    const program = await buildProgram(cli, args, { stdout, stderr });
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has said what it had to say.
    if (error instanceof CommanderError) return error.exitCode;
    return await report(terminal, error, gateway, args.includes("--verbose"));
  } finally {
    gateway?.close();
  }
}

async function connect(found: FoundGateway): Promise<Gateway> {
  const { createGateway } = await import("./gateway-client.ts");
  return createGateway(found);
}

async function report(
  terminal: Terminal,
  error: unknown,
  gateway: Gateway | undefined,
  verbose: boolean,
): Promise<number> {
  const { reportError, toCliError } = await import("./error-report.ts");
  let shown = toCliError(error, gateway);
  if (gateway) shown = await (await import("./suggest-name.ts")).suggestName(shown, gateway);
  reportError(terminal, shown);
  if (verbose && error instanceof Error) terminal.say(error.stack ?? "");
  return shown.exitCode;
}

async function buildProgram(
  cli: Cli,
  args: readonly string[],
  streams: { stdout: Stream; stderr: Stream },
): Promise<Command> {
  const program = new Command("hermit")
    .description("Runs fleets of AI agents the way a service mesh runs services.")
    .addHelpText("before", EXAMPLES)
    .addOption(new Option("--home <dir>", "the home folder (OPENHERMIT_HOME)").default(undefined, ".openhermit"))
    .option("--url <url>", "the gateway, if not this host's (OPENHERMIT_URL)")
    .option("--context <name>", "a gateway that you are logged in to (OPENHERMIT_CONTEXT)")
    .option("--insecure", "send the token to another host without TLS\n(OPENHERMIT_INSECURE)")
    .addOption(new Option("--color <when>", "when to show colour").choices(["auto", "always", "never"]).default("auto"))
    .exitOverride()
    .showSuggestionAfterError(true)
    .showHelpAfterError("run it with --help to see what it takes")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      getOutHelpWidth: () => 80,
      getErrHelpWidth: () => 80,
    })
    .helpCommand(true);
  // One verb is loaded when it is named; all of them for the help, for completion and for suggestions.
  const word = firstWord(args);
  const completing = word === "complete";
  const wanted = completing ? wordBeforeTab(args) : word;
  const named = verbs.filter((verb) => verb.name === wanted);
  for (const verb of named.length > 0 ? named : verbs) {
    const declare = await verb.load();
    declare(program, cli);
  }
  if (completing) {
    const { declareComplete } = await import("./completion/complete.ts");
    declareComplete(program, cli);
  }
  return program;
}

const firstWord = (args: readonly string[]): string | undefined =>
  args.find((argument, index) => !argument.startsWith("-") && !takesValue(args[index - 1]));

/** The verb of a line that is being completed, `complete -- VERB ... WORD`; undefined while it is itself being typed. */
const wordBeforeTab = (args: readonly string[]): string | undefined =>
  firstWord(args.slice(args.indexOf("--") + 1, -1));

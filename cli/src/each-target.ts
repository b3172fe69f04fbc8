import type { Cli } from "./cli.ts";
import { isUnreachable, toCliError } from "./error-report.ts";
import { ExitCode } from "./exit-code.ts";
import { plainLine } from "./output/plain-text.ts";
import { suggestName } from "./suggest-name.ts";

/**
 * Does the same to several things, one after the other, and goes on after an error of one: it is told, and the
 * command ends with 1. The error of a single thing is thrown, and so is one that would come again for each. Returns those
 * that went well.
 */
export async function eachTarget<Done>(
  cli: Cli,
  noun: string,
  names: readonly string[],
  work: (name: string) => Promise<Done>,
): Promise<Done[]> {
  const targets = [...new Set(names)];
  const done: Done[] = [];
  for (const name of targets) {
    try {
      done.push(await work(name));
    } catch (error) {
      if (targets.length === 1) throw error;
      // Some work needs no gateway, and then there may be none.
      const gateway = await cli.gateway().catch(() => undefined);
      const plain = toCliError(error, gateway);
      if (plain.exitCode !== ExitCode.error || isUnreachable(error)) throw error;
      const { message, why } = gateway ? await suggestName(plain, gateway) : plain;
      const reasons = why?.split("\n") ?? [];
      const [only = ""] = reasons;
      const reason = reasons.length === 1 ? ` (${plainLine(only)})` : "";
      cli.terminal.say(
        `${noun} ${name}: ${cli.terminal.paintWords(["red", "bold"], "error:")} ${plainLine(message)}${reason}`,
      );
      if (reasons.length > 1) for (const one of reasons) cli.terminal.say(`  ${plainLine(one)}`);
      cli.setExitCode(ExitCode.error);
    }
  }
  return done;
}

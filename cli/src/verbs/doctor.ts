import { examine } from "../doctor-checks.ts";
import type { Finding } from "../doctor-finding.ts";
import { outputOption, printValue } from "../output/print.ts";
import { plainLine } from "../output/plain-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit doctor`: looks for what is wrong and says how to mend it. Ends with 1 when a check has failed. */
export const declareDoctor: DeclareVerb = (program, cli) => {
  program
    .command("doctor")
    .description("look for what is wrong and print how to mend it")
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action(async (options: { output: "text" | "json" | "jsonl" | "yaml" }) => {
      const { terminal } = cli;
      const findings: Finding[] = [];
      for await (const finding of examine(cli.config)) {
        findings.push(finding);
        if (options.output !== "text") continue;
        const mark = {
          ok: terminal.paint("green", "✓"),
          failed: terminal.paint("red", "✗"),
          skipped: terminal.paint("dim", "-"),
        }[finding.outcome];
        terminal.line(`${mark} ${finding.check}: ${plainLine(finding.detail, 500)}`);
        if (finding.fix !== "") terminal.line(`  fix: ${plainLine(finding.fix, 500)}`);
      }
      const failures = findings.filter((finding) => finding.outcome === "failed").length;
      if (options.output === "jsonl") findings.forEach((finding) => terminal.line(JSON.stringify(finding)));
      else if (options.output !== "text") {
        await printValue(terminal, options.output, {
          failed: failures,
          findings: findings.map((finding) => ({ ...finding })),
        });
      } else terminal.say(failures === 0 ? "All is well." : `${failures} of ${findings.length} checks failed.`);
      cli.setExitCode(failures === 0 ? 0 : 1);
    });
};

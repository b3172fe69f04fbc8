import { isUtf8 } from "node:buffer";
import type { BundleFile } from "@openhermit/protocol/catalog/v1/skill";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { nearestWord } from "../nearest-word.ts";
import { outputOption, printItems, type OutputFormat } from "../output/print.ts";
import { plainText } from "../output/plain-text.ts";
import { bytesText } from "../catalog/skill-view.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills show report                     its SKILL.md
  $ hermit skills show report scripts/sum.py
  $ hermit skills show report logo.png > logo.png
  $ hermit skills show report --files             what there is
`;
const SKILL_FILE = "SKILL.md";

/** `hermit skills show SKILL [FILE]`. */
export const declareSkillsShow: DeclareVerb = (skills, cli) => {
  skills
    .command("show")
    .argument("<skill>", "the skill's id")
    .argument("[skill-file]", "one of its files", SKILL_FILE)
    .description("print the SKILL.md of a skill, or another of its files")
    .addHelpText("before", EXAMPLES)
    .option("--files", "list its files instead")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (skillId: string, name: string, options: { files?: boolean; output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const { bundle } = await gateway.skills.getBundle({ skillId });
      const files = bundle?.files ?? [];
      if (options.files === true) await printFiles(cli, files, options.output);
      else printFile(cli, skillId, fileOf(skillId, files, name));
    });
};

async function printFiles({ terminal }: Cli, files: readonly BundleFile[], output: OutputFormat): Promise<void> {
  await printItems(terminal, output, {
    items: files,
    json: ({ path, content, executable }) => ({ path, sizeBytes: content.length, executable }),
    columns: [
      { title: "SIZE", text: ({ content }) => bytesText(content.length) },
      { title: "RUNS", hideEmpty: true, text: ({ executable }) => (executable ? "yes" : "") },
      { title: "FILE", text: ({ path }) => path },
    ],
    name: ({ path }) => path,
    none: "It has no files.",
  });
}

function fileOf(skillId: string, files: readonly BundleFile[], name: string): BundleFile {
  const wanted = name.replace(/^(\.\/)+/, "");
  const found = files.find(({ path }) => path === wanted);
  if (found) return found;
  const paths = files.map(({ path }) => path);
  // The last part alone is what people remember.
  const meant = paths.find((path) => path.endsWith(`/${wanted}`)) ?? nearestWord(wanted, paths);
  throw new CliError(`skill ${skillId} has no file ${JSON.stringify(name)}`, {
    why: meant === undefined ? undefined : `did you mean ${meant}?`,
    next: `bin/hermit skills show ${skillId} --files`,
  });
}

/** As it is for a program; for a person without what a terminal would act on. */
function printFile({ terminal }: Cli, skillId: string, { path, content }: BundleFile): void {
  if (!terminal.isTerminal.out) {
    terminal.write(content);
    return;
  }
  if (!isUtf8(content)) {
    throw new CliError(`${path} is no text`, {
      why: "a terminal can't show it",
      next: `bin/hermit skills show ${skillId} ${path} > FILE`,
    });
  }
  terminal.line(plainText(Buffer.from(content).toString("utf8")).trimEnd());
}

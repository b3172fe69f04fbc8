import type { JsonValue } from "@bufbuild/protobuf";
import { checkFolder, noSkill, problemLine, type CheckedSkill } from "../catalog/check-folder.ts";
import { bytesText, filesText } from "../catalog/skill-view.ts";
import { eachTarget } from "../each-target.ts";
import { ExitCode } from "../exit-code.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { plainLine } from "../output/plain-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills check ./skills/report
  $ hermit skills check skills/* -o jsonl      for a pipeline
  $ hermit skills check report.zip

Needs no gateway. A folder has to be called like its skill.
Exit codes: 0 all are skills, 1 some are not.
`;

/** `hermit skills check PATH...`: whether folders and archives are skills, without a gateway. */
export const declareSkillsCheck: DeclareVerb = (skills, cli) => {
  skills
    .command("check")
    .argument("<skill-path...>", "the folder with its SKILL.md, or an archive:\n.zip, .skill, .tar, .tar.gz, .tgz")
    .description("say all that is wrong with a skill")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action(async (paths: string[], { output }: { output: OutputFormat }) => {
      const { terminal } = cli;
      const results: JsonValue[] = [];
      await eachTarget(cli, "skill", paths, async (path) => {
        const skill = await checkFolder(path);
        if (output !== "text") results.push(resultOf(path, skill));
        else if (skill.description) terminal.line(summaryOf(path, skill));
        else if (paths.length === 1) throw noSkill(path, skill.problems);
        else
          for (const problem of skill.problems) terminal.line(`${plainLine(path)}: ${plainLine(problemLine(problem))}`);
        if (!skill.description) cli.setExitCode(ExitCode.error);
      });
      if (output === "jsonl") for (const result of results) await printValue(terminal, output, result);
      else if (output !== "text") await printValue(terminal, output, results);
    });
};

function summaryOf(path: string, { description, files, sizeBytes, digest }: CheckedSkill): string {
  const size = `${filesText(files.length)}, ${bytesText(sizeBytes)}`;
  return `${plainLine(path)}: skill ${description?.name}, ${size}, ${digest.slice(0, "sha256:".length + 12)}`;
}

function resultOf(path: string, { description, files, sizeBytes, digest, problems }: CheckedSkill): JsonValue {
  return {
    path,
    problems: problems.map((problem) => ({ ...problem })),
    ...(description && {
      name: description.name,
      description: description.description,
      digest,
      fileCount: files.length,
      sizeBytes,
    }),
  };
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ManifestSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import type { LocalSkill } from "./local-skill.ts";
import { problemsError, type PlacedProblem } from "./manifest-problems.ts";
import { readManifestSource, type ManifestSource } from "./manifest-source.ts";

/** A manifest as it is sent, and what stays here of it. */
export interface PreparedManifest {
  readonly source: ManifestSource;
  readonly message: MessageInitShape<typeof ManifestSchema>;
  /** The skills that it names by a path, by their ids. */
  readonly skills: ReadonlyMap<string, LocalSkill>;
}

const MAX_VARIABLES = 256;
const MAX_VARIABLE_BYTES = 65_536;

/**
 * Reads what -f names, the variables that it declares, and the skills that it names by a path. Nothing is sent.
 * `verb` is the one that asks, for messages.
 * Throws CliError with all problems of the skills, and for what can't be read or is too large.
 */
export async function prepareManifest(cli: Cli, verb: string, paths: readonly string[]): Promise<PreparedManifest> {
  const source = await readManifestSource(verb, cli.stdin, paths);
  const variables: Record<string, string> = {};
  const skills = new Map<string, LocalSkill>();
  const problems: PlacedProblem[] = [];
  for (const file of source.files) {
    // Most manifests declare neither, and a command that does not load a parser begins sooner.
    if (!/environment|skills/.test(file.text)) continue;
    const { readDeclaredNames } = await import("./declared-names.ts");
    const declared = readDeclaredNames(file.text);
    for (const name of declared.variables) {
      const value = cli.config.environment[name];
      if (value !== undefined) variables[name] = value;
    }
    for (const named of declared.skillPaths) {
      const { readLocalSkill } = await import("./local-skill.ts");
      const skill = await readLocalSkill(file, named, problems);
      if (skill) skills.set(skill.id, skill);
    }
  }
  checkVariables(source, variables);
  if (problems.length > 0) throw problemsError(cli.terminal, source, problems);
  const bundles = Object.fromEntries([...skills.values()].map(({ id, digest }) => [id, digest]));
  const files = source.files.map(({ name, text, baseDirectory }) => ({ name, text, baseDirectory }));
  return { source, message: { files, variables, bundles }, skills };
}

function checkVariables({ label }: ManifestSource, variables: Readonly<Record<string, string>>): void {
  const names = Object.keys(variables);
  if (names.length > MAX_VARIABLES)
    throw new CliError(`${label} declares too many variables: ${names.length}`, {
      why: `at most ${MAX_VARIABLES}`,
      next: "take those away that no value names",
    });
  const long = names.find((name) => Buffer.byteLength(variables[name] ?? "") > MAX_VARIABLE_BYTES);
  if (long !== undefined)
    throw new CliError(`the environment variable ${long} is too long for a manifest`, { why: "at most 64 KiB" });
}

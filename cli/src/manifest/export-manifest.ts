import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BundleFile } from "@openhermit/skill-bundle";
import { createProgressLine } from "../applied/progress-line.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import type { Gateway } from "../gateway-client.ts";
import { exists, writeFolder, writeText } from "./export-files.ts";

/** Of calls that compute or carry much, in milliseconds. */
const TIMEOUT_MS = 120_000;
const MANIFEST = "agents.yaml";
const SKILLS = "skills";
/** An id is a name of a folder here, so it is checked even though the gateway has. */
const SKILL_ID = /^[a-z0-9](-?[a-z0-9]){0,63}$/;

/** Writes the manifest of what is to stdout, and what to know of it to stderr. */
export async function exportToStdout(cli: Cli, gateway: Gateway, agentIds: readonly string[]): Promise<void> {
  const request = { agentIds: [...agentIds], skillPaths: false };
  const { manifest, skillIds, plainValueCount } = await gateway.manifest.exportManifest(request, {
    timeoutMs: TIMEOUT_MS,
  });
  cli.terminal.write(manifest);
  if (skillIds.length > 0) {
    const what = skillIds.length === 1 ? "the skill is" : `the ${skillIds.length} skills are`;
    cli.terminal.say(
      `${what} named by digest, which this gateway alone knows; with --dir DIR the files are written too`,
    );
  }
  warnOfValues(cli, plainValueCount, "it");
}

/**
 * Writes the manifest and the files of its skills into a folder: for nobody else to read when values stand in it that may
 * be secret. Throws CliError when something is there already, unless `force`.
 */
export async function exportToFolder(
  cli: Cli,
  gateway: Gateway,
  agentIds: readonly string[],
  { directory, force }: { directory: string; force: boolean },
): Promise<void> {
  const request = { agentIds: [...agentIds], skillPaths: true };
  const { manifest, skillIds, plainValueCount } = await gateway.manifest.exportManifest(request, {
    timeoutMs: TIMEOUT_MS,
  });
  const odd = skillIds.find((id) => !SKILL_ID.test(id));
  if (odd !== undefined) throw new CliError(`${JSON.stringify(odd)} is no name of a skill; nothing was written`);
  const names = [MANIFEST, ...skillIds.map((id) => join(SKILLS, id))];
  const there = names.filter((name) => exists(join(directory, name)));
  if (there.length > 0 && !force) {
    const some = there.slice(0, 5).join(", ") + (there.length > 5 ? ` and ${there.length - 5} more` : "");
    throw new CliError(`nothing was written: ${directory} has ${some} already`, {
      next: "name another folder, or add --force to overwrite",
    });
  }
  const secret = plainValueCount > 0;
  try {
    mkdirSync(directory, { recursive: true, mode: secret ? 0o700 : 0o777 });
    await writeSkills(cli, gateway, directory, skillIds, secret);
    // Last, so that a manifest never names skills that are not there.
    writeText(join(directory, MANIFEST), manifest, secret);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code !== "string") throw error;
    throw new CliError(`the folder ${directory} can't be written`, { why: (error as Error).message, cause: error });
  }
  const skills = skillIds.length === 0 ? "" : ` and ${skillIds.length === 1 ? "a skill" : `${skillIds.length} skills`}`;
  cli.terminal.say(`written: ${join(directory, MANIFEST)}${skills}`);
  warnOfValues(cli, plainValueCount, join(directory, MANIFEST));
}

async function writeSkills(
  cli: Cli,
  gateway: Gateway,
  directory: string,
  skillIds: readonly string[],
  secret: boolean,
): Promise<void> {
  const line = createProgressLine(cli.terminal);
  try {
    for (const [index, id] of skillIds.entries()) {
      if (index > 0) line.show(`writing skills (${index} of ${skillIds.length}) ...`);
      const files = await readBundle(gateway, id);
      writeFolder(join(directory, SKILLS, id), files, secret);
    }
  } finally {
    line.clear();
  }
}

/** The files of a skill, with paths that lead nowhere else, whatever the gateway sends. */
async function readBundle(gateway: Gateway, skillId: string): Promise<BundleFile[]> {
  const { bundle, digest } = await gateway.skills.getBundle({ skillId }, { timeoutMs: TIMEOUT_MS });
  const { packBundle, unpackBundle } = await import("@openhermit/skill-bundle");
  return unpackBundle(packBundle(bundle?.files ?? []).data, digest);
}

function warnOfValues(cli: Cli, count: number, where: string): void {
  if (count === 0) return;
  const what = count === 1 ? "1 value" : `${count} values`;
  cli.terminal.say(
    `${cli.terminal.paintWords("yellow", "warning:")} ${what} of environments and headers stand${count === 1 ? "s" : ""} in ` +
      `${where} as ${count === 1 ? "it is" : "they are"}, maybe secret; \${secret.NAME} keeps a value out`,
  );
}

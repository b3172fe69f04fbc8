import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { BundleFile } from "@openhermit/skill-bundle";
import { createSkillCollection, unreadable } from "./skill-collection.ts";

/**
 * Reads the files of a skill from its folder, or from an archive: .zip, .skill, .tar, .tar.gz, .tgz. Links and special
 * files are refused, wherever they lead; a folder that holds all of an archive is left out, as are .git, node_modules and
 * the like. Reads at most 10 MiB and 1,000 files of it. Whether it is a skill is not looked at.
 * Throws CliError that names the entry.
 */
export async function readSkill(path: string): Promise<BundleFile[]> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    throw unreadable(path, code === "ENOENT" ? "it does not exist" : String(code), undefined, error);
  });
  const collection = createSkillCollection(path);
  if (found.isDirectory()) {
    const { collectFolder } = await import("./skill-folder.ts");
    await collectFolder(path, await realpath(absolute), collection);
  } else if (found.isFile() && /\.(zip|skill)$/i.test(path)) {
    const { collectZip } = await import("./skill-zip.ts");
    await collectZip(path, absolute, collection);
    return withoutTopFolder(collection.files());
  } else if (found.isFile() && /\.(tar|tar\.gz|tgz)$/i.test(path)) {
    const { collectTar } = await import("./skill-tar.ts");
    await collectTar(path, absolute, collection);
    return withoutTopFolder(collection.files());
  } else {
    const next = "name the folder with SKILL.md in it, or an archive: .zip, .skill, .tar, .tar.gz, .tgz";
    throw unreadable(path, "it is neither a folder nor an archive", next);
  }
  return collection.files();
}

/** Archives are often made of the folder and not of its content. */
function withoutTopFolder(files: BundleFile[]): BundleFile[] {
  const prefix = `${files[0]?.path.split("/")[0] ?? ""}/`;
  if (!files.every(({ path }) => path.startsWith(prefix))) return files;
  return files.map((file) => ({ ...file, path: file.path.slice(prefix.length) }));
}

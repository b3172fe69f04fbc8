import { Option, type Command } from "commander";
import { listed } from "../listed.ts";

/** What -f says. */
export interface ManifestOption {
  /** Files and folders; `-` is stdin. */
  file: string[];
}

/** Adds `-f FILE`, which may be repeated. */
export function addManifestOption(command: Command): Command {
  return command.addOption(
    new Option("-f, --file <file>", "a file or folder of the manifest, - for stdin; may be repeated")
      .argParser(listed((path: string) => path))
      .makeOptionMandatory(),
  );
}

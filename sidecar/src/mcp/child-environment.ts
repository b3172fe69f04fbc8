import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

const PASSED_ON = ["PATH", "HOME", "LANG", "TMPDIR"] as const;

/** The whole environment of an MCP server: four variables of the sidecar, and what is configured. */
export function childEnvironment(
  env: Environment,
  configured: Readonly<Record<string, string>>,
): Record<string, string> {
  const child: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = env[name];
    if (value !== undefined) child[name] = value;
  }
  return { ...child, ...configured };
}

/**
 * The program's absolute path: as given, or found in PATH. Where PATH has no `node`, it is the one that runs the sidecar.
 * Throws an Error with a sentence for a person.
 */
export function findProgram(command: string, path: string | undefined): string {
  if (isAbsolute(command)) return command;
  if (command.includes("/")) {
    throw new Error(`the command "${command}" is neither an absolute path nor a name to be found in PATH`);
  }
  for (const directory of (path ?? "").split(delimiter)) {
    const file = join(directory, command);
    if (isAbsolute(directory) && isProgram(file)) return file;
  }
  if (command === "node") return process.execPath;
  throw new Error(`the command "${command}" was not found in PATH`);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

import { readFileSync, realpathSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import {
  ManifestProblemsSchema,
  type ApplyManifestResponse,
  type ManifestProblem,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { CliError } from "../cli-error.ts";
import type { Gateway } from "../gateway-client.ts";
import { plainText } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";

/** A manifest as read from its file. */
export interface ManifestFile {
  /** For messages: relative to the working folder where that is shorter. */
  name: string;
  text: string;
  /** The absolute folder that relative paths of the manifest refer to. */
  baseDirectory: string;
}

const MAX_BYTES = 1024 * 1024;

/** Reads a manifest. Throws CliError when it can't be read or is too long. */
export function readManifestFile(file: string): ManifestFile {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it does not exist" : code === "EISDIR" ? "it is a folder" : String(code ?? error);
    throw new CliError(`the manifest ${file} can't be read`, { why, next: "name a file with -f", cause: error });
  }
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new CliError(`the manifest ${file} is too long`, {
      why: "at most 1 MiB",
      next: "split it and apply each part",
    });
  }
  const short = relative(process.cwd(), path);
  return { name: short.startsWith("..") ? path : short, text, baseDirectory: dirname(realpathSync(path)) };
}

/** Applies a manifest. Throws CliError with every problem at its line when it has some. */
export async function applyManifest(
  gateway: Gateway,
  terminal: Terminal,
  manifest: ManifestFile,
  options: { dryRun: boolean; signal?: AbortSignal },
): Promise<ApplyManifestResponse> {
  const { name, text, baseDirectory } = manifest;
  try {
    return await gateway.manifest.applyManifest(
      { manifest: text, fileName: name, baseDirectory, dryRun: options.dryRun },
      options.signal ? { signal: options.signal } : {},
    );
  } catch (error) {
    const problems =
      error instanceof ConnectError
        ? error.findDetails(ManifestProblemsSchema).flatMap((detail) => detail.problems)
        : [];
    if (problems.length === 0) throw error;
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    throw new CliError(`${name} has ${count}; nothing was changed`, {
      why: problems.map((problem) => problemText(terminal, problem, text)).join("\n"),
      next: `mend them and apply again: bin/hermit apply -f ${name}`,
      cause: error,
    });
  }
}

/** `agents.yaml:5:3 agents.one.modle: unknown key "modle"`, the line itself, and the hint. */
function problemText(terminal: Terminal, problem: ManifestProblem, text: string): string {
  const { fileName, line, column, path, message, hint } = problem;
  const place = `${fileName === "" ? "manifest" : fileName}:${line}:${column}`;
  const lines = [`${place} ${path === "" ? "" : `${path}: `}${message}`];
  const source = (text.split("\n")[line - 1] ?? "").replaceAll("\t", " ");
  if (source.trim() !== "" && terminal.isTerminal.words && column < 100) {
    lines.push(`    ${plainText(source.slice(0, 116))}`, `    ${" ".repeat(column - 1)}^`);
  }
  if (hint !== "") lines.push(`    ${hint}`);
  return lines.join("\n");
}

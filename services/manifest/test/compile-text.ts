import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ManifestSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { KnownNames } from "../src/compile-context.ts";
import { compileManifest, type CompiledManifest } from "../src/manifest-compile.ts";
import { fileTitle, readManifestDocument } from "../src/manifest-document.ts";
import { createRuleCheck } from "../src/message-rules.ts";
import type { Problem } from "../src/problem-list.ts";

const KNOWN: KnownNames = {
  providerNames: ["anthropic", "offline", "ollama"],
  agentIds: ["elder"],
  defaultModel: "",
  isTeam: (teamId) => teamId === "red" || teamId === "blue",
};
const NOTHING: CompiledManifest = { defaults: undefined, providers: [], agents: [], skills: [], mcpServers: [] };
const checkRules = createRuleCheck();

/** What came of a manifest: what it asks for, or its problems, also as lines `line:column path: message`. */
export interface Compiled extends CompiledManifest {
  problems: readonly Problem[];
  lines: string[];
  hints: Record<string, string>;
}

/** Compiles a manifest of one file in the folder /fleet, or of several. */
export function compileText(
  manifest: string | MessageInitShape<typeof ManifestSchema>,
  known: Partial<KnownNames> = {},
): Compiled {
  const one = typeof manifest === "string" ? { files: [{ text: manifest, baseDirectory: "/fleet" }] } : manifest;
  const message = create(ManifestSchema, one);
  const document = readManifestDocument(message);
  const result = compileManifest(document, message, { ...KNOWN, ...known }, checkRules);
  const problems = result.kind === "invalid" ? result.problems : [];
  const { files } = message;
  const place = ({ file, line, column }: Problem["at"]): string =>
    `${files.length > 1 ? `${fileTitle(files, file)}:` : ""}${line}:${column}`;
  return {
    ...(result.kind === "compiled" ? result.wanted : NOTHING),
    problems,
    lines: problems.map(({ at, path, message: text }) => `${place(at)} ${path}: ${text}`),
    hints: Object.fromEntries(problems.map(({ path, hint }) => [path, hint])),
  };
}

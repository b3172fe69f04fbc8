import type { Interpolate } from "./interpolation.ts";
import type { ManifestPath } from "./manifest-node.ts";
import type { CheckRules } from "./message-rules.ts";
import type { ProblemList } from "./problem-list.ts";

/** What a manifest may refer to without defining it. */
export interface KnownNames {
  providerNames: readonly string[];
  /** Those in reach of the caller that stay: the others are told as if they did not exist. */
  agentIds: readonly string[];
  /** The model of the fleet's defaults, where they stay; empty: none. */
  defaultModel: string;
  isTeam(teamId: string): boolean;
}

/** What compiling a manifest needs besides the manifest. */
export interface CompileContext {
  known: KnownNames;
  /** The digests of the bundles that were sent, by the skill's id. */
  bundles: Readonly<Record<string, string>>;
  interpolate: Interpolate;
  /** The absolute folder that relative paths in the file of a place refer to; empty refuses them. */
  baseDirectoryOf(path: ManifestPath): string;
  problems: ProblemList;
  checkRules: CheckRules;
}

/** Adds a problem unless the text is a URL of http or https. */
export function checkUrl(url: string, path: ManifestPath, problems: ProblemList): void {
  // A reference that could not be replaced has been told.
  if (url.includes("${")) return;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "http:" || parsed?.protocol === "https:") return;
  problems.add(path, "not an http or https URL", "for example https://models.example.com/v1");
}

import type { SharedV4ProviderOptions } from "@ai-sdk/provider";

/**
 * A part of a step that carries a provider's own data: reasoning, or a stretch of the step's text. A call stands for the
 * next of the step's tool calls, which carry theirs themselves; calls at the end are not written.
 */
export type StepPart =
  | { type: "call" }
  | { type: "reasoning"; text: string; options?: SharedV4ProviderOptions | undefined }
  | { type: "text"; length: number; options?: SharedV4ProviderOptions | undefined };

/** The parts as AssistantMessage.provider_metadata_json; empty when there is nothing to send back. */
export function writeStepMetadata(parts: readonly StepPart[], provider: string): string {
  const worth = (part: StepPart): boolean =>
    part.type === "reasoning" || (part.type === "text" && part.options !== undefined);
  if (!parts.some(worth)) return "";
  return JSON.stringify({ provider, parts: parts.slice(0, parts.findLastIndex(({ type }) => type !== "call") + 1) });
}

/** The parts of a step that this provider made. Another provider's reasoning means nothing to it and is left out. */
export function readStepMetadata(json: string, provider: string): StepPart[] {
  if (json === "") return [];
  try {
    const stored = JSON.parse(json) as { provider?: unknown; parts?: unknown };
    return stored.provider === provider && Array.isArray(stored.parts) ? (stored.parts as StepPart[]) : [];
  } catch {
    return [];
  }
}

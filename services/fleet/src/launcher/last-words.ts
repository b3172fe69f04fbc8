import { stripVTControlCharacters } from "node:util";

const MAX_LENGTH = 300;
const MAX_LINES = 3;
const SERIOUS: ReadonlySet<string> = new Set(["warn", "error", "fatal"]);

/** What looks like a credential, whoever wrote it. */
const SECRETS = [
  /\beyJ[\w-]+\.[\w-]+\.[\w-]+/g,
  /\b(?:sk|pk|ohm|ghp|gho|xox[a-z])[-_][\w-]{8,}/gi,
  /\bAIza[\w-]{20,}/g,
  /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi,
  /((?:api[-_]?key|token|secret|password)["']?\s*[:=]\s*["']?)[^\s"',}]{4,}/gi,
];

/**
 * The last lines of a sidecar's log as one short sentence for the fleet view. Log lines in JSON give their message and
 * error when they are warnings at least: what went well does not say why it ended. `secrets` and whatever looks like a credential is struck out, and so are control characters.
 */
export function lastWords(tail: string, secrets: readonly string[]): string {
  const lines = tail
    .split("\n")
    .map((line) => sentenceOf(line.trim()))
    .filter((line) => line !== "");
  let text = lines.slice(-MAX_LINES).join("; ");
  for (const secret of secrets) {
    if (secret.length >= 4) text = text.replaceAll(secret, "[redacted]");
  }
  for (const pattern of SECRETS) {
    text = text.replace(pattern, (_, lead: unknown) => `${typeof lead === "string" ? `${lead} ` : ""}[redacted]`);
  }
  // Control characters, escape sequences of terminals among them.
  text = stripVTControlCharacters(text).replace(/\p{Cc}/gu, " ");
  return text.length > MAX_LENGTH ? `…${text.slice(-MAX_LENGTH)}` : text;
}

function sentenceOf(line: string): string {
  if (!line.startsWith("{")) return /^at .*[:)]|^\^+$|^Node\.js v/.test(line) ? "" : line;
  try {
    const { level, message, err, error = err } = JSON.parse(line) as Partial<Record<string, unknown>>;
    if (typeof level === "string" && !SERIOUS.has(level)) return "";
    const cause = (error as { message?: unknown } | null | undefined)?.message;
    const parts = [message, cause].filter((part) => typeof part === "string" && part !== "");
    return parts.length === 0 ? line : parts.join(": ");
  } catch {
    return line;
  }
}

import { redactText } from "@openhermit/telemetry";
import { strikeNothing, type StrikeOut } from "./secret-values.ts";
import { printable } from "./stderr-drain.ts";

/** What happened, in one line of at most 500 characters: the message and, for `fetch failed`, what lies beneath it. */
export function errorSentence(error: unknown, strikeOut: StrikeOut = strikeNothing): string {
  const messages: string[] = [];
  let one = error;
  while (one instanceof Error && messages.length < 4) {
    const { message } = one;
    if (message !== "" && !messages.some((said) => said.includes(message))) messages.push(message);
    one = one instanceof AggregateError && message === "" ? one.errors[0] : one.cause;
  }
  if (messages.length === 0 && typeof one === "string") messages.push(one);
  return printable(redactText(strikeOut(messages.join(": ")))) || "unknown error";
}

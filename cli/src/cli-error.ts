import { ExitCode } from "./exit-code.ts";

/** Something a person can mend: what failed, why, and the next command. Shown without a stack trace. */
export class CliError extends Error {
  override readonly name = "CliError";
  /** Why it failed, or undefined when the message already says it. */
  readonly why: string | undefined;
  /** What to do next: a sentence or a command. */
  readonly next: string | undefined;
  readonly exitCode: number;

  constructor(
    message: string,
    details: { why?: string | undefined; next?: string | undefined; exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.why = details.why;
    this.next = details.next;
    this.exitCode = details.exitCode ?? ExitCode.error;
  }
}

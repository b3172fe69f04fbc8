import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, type ErrorDetail } from "@openhermit/protocol/common/v1/error";
import { ConfigError } from "@openhermit/config";
import { CliError } from "./cli-error.ts";
import { ExitCode } from "./exit-code.ts";
import type { CredentialSource } from "./find-gateway.ts";
import { nextCommand, renewCommand } from "./next-command.ts";
import { plainLine, plainText } from "./output/plain-text.ts";
import type { Terminal } from "./output/terminal.ts";
import { wholeSpanText } from "./output/time-text.ts";

/** What the gateway says about an error besides its sentence; undefined when the error is not the gateway's own. */
export function errorDetail(error: unknown): ErrorDetail | undefined {
  return error instanceof ConnectError ? error.findDetails(ErrorDetailSchema)[0] : undefined;
}

/** Whether nobody listens at the gateway's address. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof ConnectError) || errorDetail(error)) return false;
  const code = systemCode(error.cause);
  return code !== undefined && /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EAI_AGAIN)$/.test(code);
}

/** The gateway that was asked, as far as an error tells of it. */
export interface AskedGateway {
  readonly url: string;
  readonly source?: CredentialSource | undefined;
}

/** Any error as what failed, why and the next command. A defect keeps its text; its stack is shown with --verbose only. */
export function toCliError(error: unknown, asked?: AskedGateway): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ConfigError) {
    const [first = "", ...rest] = error.problems;
    return new CliError(first, { why: rest.length > 0 ? rest.join("\n") : undefined, cause: error });
  }
  if (isUnreachable(error)) {
    return new CliError(`the gateway does not answer${asked === undefined ? "" : ` at ${asked.url}`}`, {
      why: plainLine((error as ConnectError).rawMessage),
      next:
        asked?.source?.kind === "context"
          ? "bin/hermit context show; bin/hermit doctor finds what is wrong"
          : "bin/hermit up starts it; bin/hermit doctor finds what is wrong",
      cause: error,
    });
  }
  if (error instanceof ConnectError) return fromConnect(error, asked?.source);
  return new CliError(error instanceof Error ? error.message : String(error), { cause: error });
}

/** Writes the error as lines on stderr. */
export function reportError(terminal: Terminal, error: CliError): void {
  terminal.say(`${terminal.paintWords(["red", "bold"], "error:")} ${plainText(error.message)}`);
  for (const line of error.why?.split("\n") ?? []) terminal.say(`  ${plainText(line)}`);
  if (error.next !== undefined && error.next !== "")
    terminal.say(`${terminal.paintWords("cyan", "next:")} ${plainText(error.next)}`);
}

function fromConnect(error: ConnectError, source: CredentialSource | undefined): CliError {
  const detail = errorDetail(error);
  const fields = detail?.requestId ? `request ${detail.requestId}` : undefined;
  const message = commandWords(plainText(error.rawMessage), detail, source);
  if (error.code === Code.Unauthenticated) {
    return new CliError(message === "" ? "the gateway does not accept the token" : message, {
      why: fields,
      next: nextCommand(detail, source) ?? renewCommand(source),
      exitCode: ExitCode.loginNeeded,
      cause: error,
    });
  }
  if (error.code === Code.DeadlineExceeded) {
    const why = "the gateway did not answer in time";
    return new CliError("timed out", { why, next: nextCommand(detail, source) ?? "bin/hermit health", cause: error });
  }
  if (detail?.reason === "LOGIN_TOO_OLD") {
    const next = nextCommand(detail, source);
    return new CliError(message, { next, exitCode: ExitCode.loginNeeded, cause: error });
  }
  const internal = error.code === Code.Internal || error.code === Code.Unknown;
  return new CliError(message === "" ? `the gateway answered ${Code[error.code]}` : message, {
    why: internal ? fields : undefined,
    next:
      nextCommand(detail, source) ??
      (internal ? "look into the gateway's log: logs/gateway.log in the home" : undefined),
    cause: error,
  });
}

const SLUG_PATTERN = /does not match regex pattern `\^(\(?\[\*\]\|)?\[a-z(0-9)?\][^`]*\$`/g;

/** What the gateway says to any client, in words for a person in front of a command. */
function commandWords(message: string, detail: ErrorDetail | undefined, source: CredentialSource | undefined): string {
  switch (detail?.reason) {
    case "RIGHT_MISSING":
    case "LOGIN_TOO_OLD": {
      const words = message.replace(/^openhermit\.[\w./]+ needs /, "this command needs ");
      // A token may have less than whom it stands for.
      return source?.kind === "environment"
        ? words.replace(/, which \S+ lacks$/, ", which the token in OPENHERMIT_TOKEN lacks")
        : words.replace(/, which member:(\S+) lacks$/, ", which $1 lacks");
    }
    case "REQUEST_INVALID":
      return message
        .replaceAll(SLUG_PATTERN, "must be lower-case letters, digits and dashes")
        .replaceAll(/\b(\d+)s\b/g, (_, seconds: string) => wholeSpanText(Number(seconds)));
    default:
      return message;
  }
}

function systemCode(error: unknown): string | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && code.startsWith("E") && !code.startsWith("ERR_")) return code;
  }
  return undefined;
}

import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { invalidArgument } from "@openhermit/errors";

import { observedStream } from "../observed-stream.ts";
import { unstorableText } from "../unstorable-text.ts";

const MAX_LISTED = 20;

/** Checks each request message against the rules of its contract, and that its texts can be stored. */
export function validate(): Interceptor {
  // One validator for all: it compiles the rules of a message when it first sees one, and keeps them.
  const validator = createValidator({ regexMatch: matchPattern });
  const check = (schema: DescMessage, message: Message) => {
    const result = validator.validate(schema, message);
    if (result.kind === "error") {
      throw result.error;
    }
    if (result.kind === "invalid") {
      throw invalidRequest(
        result.violations.map(({ field, message: text }) => ({ path: pathToString(field), problem: text })),
      );
    }
  };
  const checkText = (message: Message) => {
    const path = unstorableText(message);
    if (path !== undefined) {
      throw invalidRequest([{ path, problem: "must be text without NUL characters and without lone surrogates" }]);
    }
  };
  return (next) => async (request) => {
    const schema = request.method.input;
    if (!request.stream) {
      check(schema, request.message);
      checkText(request.message);
      return next(request);
    }
    // A sidecar reports what models and tools said, and what it has once written it can't take back: its texts are
    // made storable where they are stored.
    const people = request.method.methodKind === "server_streaming";
    return next({
      ...request,
      message: observedStream(request.message, {
        onMessage(message) {
          check(schema, message);
          if (people) {
            checkText(message);
          }
        },
        onError: unreadable,
      }),
    });
  };
}

// Connect calls bytes that are no message an internal error; they are the caller's mistake. Of a call with one request
// message it says so before any interceptor runs.
function unreadable(error: unknown): unknown {
  return error instanceof ConnectError && error.code === Code.Internal && error.rawMessage.startsWith("parse binary: ")
    ? invalidRequest([{ path: "", problem: `the message can't be read: ${error.rawMessage.slice(14)}` }])
    : error;
}

function invalidRequest(violations: { path: string; problem: string }[]) {
  const listed = violations.slice(0, MAX_LISTED);
  const sentences = listed.map(({ path, problem }) => (path === "" ? problem : `${path}: ${problem}`));
  if (violations.length > listed.length) {
    sentences.push(`and ${violations.length - listed.length} more`);
  }
  return invalidArgument("REQUEST_INVALID", sentences.join("; "), {
    fields: Object.fromEntries(listed.map(({ path, problem }) => [path === "" ? "request" : path, problem])),
  });
}

// All patterns are ours, anchored and without nesting: the engine of the platform runs them in linear time, and faster than RE2.
const patterns = new Map<string, RegExp>();

function matchPattern(pattern: string, text: string): boolean {
  let expression = patterns.get(pattern);
  if (expression === undefined) {
    expression = new RegExp(pattern, "u");
    patterns.set(pattern, expression);
  }
  return expression.test(text);
}

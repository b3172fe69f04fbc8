import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { gatherCast, type Cast } from "./cast.ts";
import {
  CALLERS,
  EXPECTATIONS,
  expectedResult,
  scopesFor,
  TARGETS,
  type CallerKind,
  type Expectation,
} from "./expectations.ts";
import { servedMethods } from "./served-methods.ts";
import { SURFACES, type Surface } from "./surfaces.ts";

const CALL_LIMIT_MS = 10_000;
/** Before Connect's own clients look at it: what the gateway refused without the product's error. */
const CUT = "a call longer than its limit";

let cast: Cast;
beforeAll(async () => {
  cast = await gatherCast();
}, 60_000);
afterAll(() => cast?.dispose());

const nameOf = (method: DescMethod): string => `${method.parent.typeName}/${method.name}`;

async function tokenOf(kind: CallerKind, expectation: Expectation, target: string): Promise<string | undefined> {
  const person = (id: string) => cast.people.get(id)?.token;
  switch (kind) {
    case "anonymous":
      return undefined;
    case "viewer":
    case "operator":
    case "admin":
    case "owner":
      return person(kind);
    case "team member":
      return person("red-member");
    case "other team's member":
      return person("blue-member");
    case "local operator":
      return cast.operatorToken;
    case "token with the exact scope":
      return scopedToken(scopesFor(expectation, target).exact);
    case "token with a neighbour's scope":
      return scopedToken(scopesFor(expectation, target).neighbour);
    case "expired token":
      return cast.expiredToken;
    case "revoked token":
      return cast.revokedToken;
    case "sidecar":
      return cast.sidecarTokens.one;
    case "other sidecar":
      return cast.sidecarTokens.two;
  }
}

const scopedTokens = new Map<string, Promise<string>>();
function scopedToken(scope: string): Promise<string> {
  const token = scopedTokens.get(scope) ?? cast.robotToken([scope]);
  scopedTokens.set(scope, token);
  return token;
}

type AnyCall = (request: unknown, options: { signal: AbortSignal }) => Promise<unknown> | AsyncIterable<unknown>;

/** `ok`, or the code and the reason. A stream is well when its first message comes. */
async function resultOf(
  method: DescMethod,
  expectation: Expectation,
  target: string,
  transport: Transport,
): Promise<string> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(CUT)), CALL_LIMIT_MS);
  try {
    if (expectation.call !== undefined) {
      await expectation.call(transport);
      return "ok";
    }
    const client = createClient(method.parent, transport) as unknown as Record<string, AnyCall>;
    const request = expectation.request?.(target) ?? {};
    const upstream = async function* () {
      yield request;
    };
    const input = method.methodKind === "bidi_streaming" ? upstream() : request;
    const answer = client[method.localName]?.(input, { signal: controller.signal });
    if (answer !== undefined && Symbol.asyncIterator in answer) {
      const first = await answer[Symbol.asyncIterator]().next();
      return first.done === true ? "ended without a message" : "ok";
    }
    await answer;
    return "ok";
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const code = Code[error.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
    return `${code} ${error.findDetails(ErrorDetailSchema)[0]?.reason ?? error.rawMessage}`;
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

test("every method has an expectation, and every expectation a method", async () => {
  const names = (await servedMethods(cast.as(cast.operatorToken))).map(nameOf);
  expect(names.toSorted(), "methods served and methods in tests/authz/expectations.ts").toEqual(
    Object.keys(EXPECTATIONS).toSorted(),
  );
});

describe.each(SURFACES)("over %s", (surface: Surface) => {
  test("every method answers every kind of caller as expected", { timeout: 180_000 }, async () => {
    const differences: string[] = [];
    let calls = 0;
    for (const method of await servedMethods(cast.as(cast.operatorToken))) {
      const expectation = EXPECTATIONS[nameOf(method)];
      // HTTP/1.1 has no stream in both directions.
      if (expectation === undefined || (surface === "REST" && method.methodKind === "bidi_streaming")) continue;
      for (const target of expectation.agents === undefined ? TARGETS.slice(0, 1) : TARGETS) {
        for (const caller of expectation.only ?? CALLERS) {
          const expected = expectedResult(expectation, caller, target);
          const transport = cast.as(await tokenOf(caller, expectation, target), surface);
          const result = await resultOf(method, expectation, target, transport);
          await expectation.undo?.(cast.as(cast.operatorToken), target);
          calls += 1;
          if (result !== expected) {
            differences.push(`${nameOf(method)} on ${target} as ${caller}: expected "${expected}", got "${result}"`);
          }
        }
      }
    }
    expect(differences).toEqual([]);
    expect(calls).toBeGreaterThan(surface === "REST" ? 900 : 950);
  });
});

test("a credential that is forged, cut or of another kind is refused, never taken for none", async () => {
  const [header, payload, signature] = cast.sidecarTokens.two.split(".");
  const claims = JSON.parse(Buffer.from(payload ?? "", "base64url").toString()) as Record<string, unknown>;
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const forged = [
    cast.operatorToken.slice(0, -1),
    `${cast.operatorToken}x`,
    `ohm_${"A".repeat(38)}`,
    `${header}.${encode({ ...claims, agents: ["one"] })}.${signature}`,
    `${encode({ alg: "none" })}.${payload}.`,
    `${encode({ alg: "HS256" })}.${payload}.${signature}`,
    "nonsense",
  ];
  for (const token of forged) {
    const error = await createClient(FleetService, cast.as(token))
      .listAgents({})
      .then(() => undefined, ConnectError.from);
    expect([token.slice(0, 12), error?.code]).toEqual([token.slice(0, 12), Code.Unauthenticated]);
  }
});

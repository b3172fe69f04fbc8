import { create } from "@bufbuild/protobuf";
import { ProviderKind, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import { startScriptedModel, type ScriptedModel } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Model } from "./model.ts";
import { openModel } from "./open-model.ts";

const MODEL = "some/model";
let server: ScriptedModel;
beforeAll(async () => {
  server = await startScriptedModel({ always: { text: "hello there" } });
});
afterAll(() => server.close());

const open = (kind: ProviderKind, apiKeyEnv: string, baseUrl = server.baseUrl): Model =>
  openModel(create(ProviderSchema, { name: "p", kind, baseUrl, apiKeyEnv }), MODEL, { MY_KEY: " k " });

const ask = (model: Model) =>
  model.call({
    prompt: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
    tools: [],
    parameters: undefined,
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    signal: new AbortController().signal,
    onStart: () => undefined,
    onText: () => undefined,
    onReasoning: () => undefined,
  });

test.each([
  { kind: ProviderKind.ANTHROPIC, header: "x-api-key", value: "k" },
  { kind: ProviderKind.OPENAI, header: "authorization", value: "Bearer k" },
  { kind: ProviderKind.GOOGLE, header: "x-goog-api-key", value: "k" },
  { kind: ProviderKind.OPENAI_COMPATIBLE, header: "authorization", value: "Bearer k" },
])("kind $kind sends the key as $header, and none when none is configured", async ({ kind, header, value }) => {
  expect(await ask(open(kind, "MY_KEY"))).toMatchObject({ text: "hello there", finishReason: "stop" });
  expect(server.requests.at(-1)?.headers[header]).toBe(value);
  expect(server.requests.at(-1)?.body.model).toBe(MODEL);
  await ask(open(kind, ""));
  const { headers } = server.requests.at(-1) ?? {};
  expect(Object.keys(headers ?? {})).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/api-key|authorization/)]),
  );
});

test.each([
  [ProviderKind.OPENAI_COMPATIBLE, "", /no base URL/],
  [ProviderKind.ANTHROPIC, "file:///etc/passwd", /not an http or https URL/],
  [ProviderKind.OFFLINE, "", /no model "some\/model"/],
  [99 as ProviderKind, "", /kind that is not known/],
])("kind %s with the base URL %j is refused", (kind, baseUrl, reason) => {
  expect(() => open(kind, "", baseUrl)).toThrow(reason);
});

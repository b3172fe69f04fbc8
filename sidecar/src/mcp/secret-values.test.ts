import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { expect, test } from "vitest";

import { resolveSecrets, SecretError } from "./secret-values.ts";

type Transport = NonNullable<MessageInitShape<typeof McpServerSchema>["transport"]>;

const ENV = {
  OPENHERMIT_MCP_SECRETS: "GITHUB_TOKEN,API_KEY, OTHER_KEY,MULTI_SECRET,EMPTY_TOKEN,MISSING_TOKEN",
  PROVIDER_API_KEY: "of the model alone",
  GITHUB_TOKEN: "ghs_1234567890",
  API_KEY: "key/with+more&",
  OTHER_KEY: "ghs_1234567890-and-more",
  MULTI_SECRET: "-----BEGIN-----\nabcdefgh\nx\n",
  EMPTY_TOKEN: "",
  HOME: "/root",
  OPENHERMIT_OPERATOR_TOKEN: "must not be given",
};
const resolve = (transport: Transport) => resolveSecrets(create(McpServerSchema, { id: "git", transport }), ENV);
const env = (values: Record<string, string>) =>
  resolve({ case: "stdio", value: { command: "c", args: ["${secret.API_KEY}"], env: values } });
const http = (headers: Record<string, string>) =>
  resolve({ case: "http", value: { url: "http://x/${secret.API_KEY}", headers } });

test("secrets are put into environment and headers, and nowhere else", () => {
  const given = create(McpServerSchema, {
    id: "git",
    transport: { case: "http", value: { headers: { a: "${secret.API_KEY}" } } },
  });
  expect(resolveSecrets(given, ENV).server.transport.value).toMatchObject({ headers: { a: ENV.API_KEY } });
  expect(given.transport.value).toMatchObject({ headers: { a: "${secret.API_KEY}" } });

  expect(
    env({
      TOKEN: "${secret.GITHUB_TOKEN}",
      PLAIN: "$HOME ${HOME} $secret.API_KEY",
      TWO: "${secret.API_KEY}:${secret.GITHUB_TOKEN}",
    }).server.transport.value,
  ).toMatchObject({
    args: ["${secret.API_KEY}"],
    env: { TOKEN: ENV.GITHUB_TOKEN, PLAIN: "$HOME ${HOME} $secret.API_KEY", TWO: `${ENV.API_KEY}:${ENV.GITHUB_TOKEN}` },
  });
  expect(http({ authorization: "Bearer ${secret.GITHUB_TOKEN}" }).server.transport.value).toMatchObject({
    url: "http://x/${secret.API_KEY}",
    headers: { authorization: `Bearer ${ENV.GITHUB_TOKEN}` },
  });
});

test.each([
  ["MISSING_TOKEN", /^The variable MISSING_TOKEN is not set .* and restart the agent\.$/],
  ["PROVIDER_API_KEY", /^The variable PROVIDER_API_KEY is not listed in OPENHERMIT_MCP_SECRETS/],
  ["EMPTY_TOKEN", /^The variable EMPTY_TOKEN is not set/],
  ["HOME", /"\$\{secret\.HOME\}" names no secret/],
  ["OPENHERMIT_OPERATOR_TOKEN", /names no secret/],
  ["github_token", /names no secret/],
  ["KEY", /names no secret/],
  ["KEYS", /names no secret/],
  ["", /names no secret/],
  ["__proto__", /names no secret/],
  ["A B TOKEN", /names no secret/],
])("%j can't be had, which is said without values", (name, sentence) => {
  for (const give of [env, http]) {
    expect(() => give({ ok: "${secret.GITHUB_TOKEN}", x: `\${secret.${name}}` })).toThrow(SecretError);
    expect(() => give({ x: `\${secret.${name}}` })).toThrow(sentence);
  }
});

test("values are struck out in every form, the longest first; other text stays", () => {
  const { strikeOut } = env({
    A: "${secret.GITHUB_TOKEN}",
    B: "${secret.API_KEY}",
    C: "${secret.OTHER_KEY}",
    D: "${secret.MULTI_SECRET}",
  });
  expect(strikeOut("401 for ghs_1234567890, of git")).toBe("401 for [secret], of git");
  expect(strikeOut("ghs_1234567890-and-more")).toBe("[secret]");
  expect(strikeOut("https://x/?k=key%2Fwith%2Bmore%26&a=b")).toBe("https://x/?k=[secret]&a=b");
  expect(strikeOut(JSON.stringify({ key: ENV.API_KEY, pem: ENV.MULTI_SECRET }))).toBe(
    '{"key":"[secret]","pem":"[secret]"}',
  );
  expect(strikeOut("line: abcdefgh x")).toBe("line: [secret] x");
  const none = env({ A: "plain" });
  expect(none.strikeOut("ghs_1234567890")).toBe("ghs_1234567890");
});

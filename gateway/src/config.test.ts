import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { ConfigError } from "@openhermit/config";
import { temporaryDirectory, type TemporaryDirectory } from "@openhermit/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { readConfig } from "./config.ts";

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await temporaryDirectory();
  await writeFile(join(directory.path, "secret"), "hush\n");
  await writeFile(join(directory.path, "empty"), "\n");
});
afterAll(() => directory.remove());

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("readConfig", () => {
  test("has a default for everything", () => {
    expect(readConfig({})).toMatchObject({
      listen: { host: "127.0.0.1", port: 8780 },
      databaseUrl: undefined,
      adminDatabaseUrl: undefined,
      tokenPepper: "",
      auditRetentionDays: 400,
      metricsListen: undefined,
      mcpSecrets: [],
      oidc: undefined,
    });
  });

  test("takes what access needs", () => {
    const config = readConfig({
      OPENHERMIT_DATABASE_URL: "postgres://app@db/mesh",
      OPENHERMIT_ADMIN_DATABASE_URL: "postgres://owner@db/mesh",
      OPENHERMIT_TOKEN_PEPPER: "x".repeat(32),
      OPENHERMIT_AUDIT_RETENTION_DAYS: "31",
      OPENHERMIT_METRICS_LISTEN: ":9100",
      OPENHERMIT_MCP_SECRETS: "GITHUB_TOKEN, DB_PASSWORD",
      OPENHERMIT_OIDC_ISSUER: "https://id.example.com",
      OPENHERMIT_OIDC_CLIENT_ID: "mesh",
      OPENHERMIT_OIDC_CLIENT_SECRET_FILE: join(directory.path, "secret"),
      OPENHERMIT_OIDC_ROLES: "cn=ops=admin, everybody = viewer",
    });
    expect(config).toMatchObject({
      adminDatabaseUrl: "postgres://owner@db/mesh",
      tokenPepper: "x".repeat(32),
      auditRetentionDays: 31,
      metricsListen: { host: "127.0.0.1", port: 9100 },
      mcpSecrets: ["GITHUB_TOKEN", "DB_PASSWORD"],
      oidc: {
        issuer: "https://id.example.com",
        clientId: "mesh",
        clientSecret: "hush",
        groupsClaim: "groups",
        name: "single sign-on",
      },
    });
    expect([...(config.oidc?.roles ?? [])]).toEqual([
      ["cn=ops", "admin"],
      ["everybody", "viewer"],
    ]);
  });

  test("lists all problems at once, and repeats no secret", () => {
    const problems = problemsOf({
      OPENHERMIT_ADMIN_DATABASE_URL: "postgres://owner:hush@db/mesh",
      OPENHERMIT_TOKEN_PEPPER: "hush",
      OPENHERMIT_AUDIT_RETENTION_DAYS: "30",
      OPENHERMIT_METRICS_LISTEN: "9100",
      OPENHERMIT_MCP_SECRETS: "GITHUB_TOKEN,,b",
      OPENHERMIT_OIDC_ISSUER: "https://id.example.com",
      OPENHERMIT_OIDC_CLIENT_SECRET_FILE: join(directory.path, "missing"),
      OPENHERMIT_OIDC_ROLES: "ops=root",
      OPENHERMIT_TLS_CERT_FILE: "cert.pem",
    });
    const variables = problems.map((problem) => problem.split(" ")[0] ?? "");
    expect(variables.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      "OPENHERMIT_ADMIN_DATABASE_URL",
      "OPENHERMIT_AUDIT_RETENTION_DAYS",
      "OPENHERMIT_MCP_SECRETS",
      "OPENHERMIT_METRICS_LISTEN",
      "OPENHERMIT_OIDC_CLIENT_SECRET_FILE",
      "OPENHERMIT_OIDC_ISSUER",
      "OPENHERMIT_OIDC_ROLES",
      "OPENHERMIT_TLS_CERT_FILE",
      "OPENHERMIT_TOKEN_PEPPER",
    ]);
    expect(problems.join()).not.toContain("hush");
  });

  test.each([
    ["OPENHERMIT_OIDC_ROLES", "ops"],
    ["OPENHERMIT_OIDC_ROLES", "=viewer"],
    ["OPENHERMIT_OIDC_ROLES", "a=viewer,,b=viewer"],
    ["OPENHERMIT_OIDC_ROLES", "a=viewer,a=admin"],
    ["OPENHERMIT_ADMIN_DATABASE_URL", "mysql://x"],
  ])("refuses %s=%s", (variable, value) => {
    const env = { OPENHERMIT_DATABASE_URL: "postgres://db", [variable]: value };
    expect(problemsOf(env)).toEqual([expect.stringContaining(variable)]);
  });

  test("an empty secret is none", () => {
    const env = { OPENHERMIT_OIDC_CLIENT_SECRET_FILE: join(directory.path, "empty") };
    expect(problemsOf(env)).toEqual([expect.stringContaining("which is empty")]);
  });

  test.each([
    ["http://id.example.com", {}, false],
    ["http://127.0.0.1:9000", {}, true],
    ["http://[::1]:9000", {}, true],
    ["http://id.example.com", { OPENHERMIT_INSECURE: "1" }, true],
  ])("whether an issuer of %s is taken with %o: %s", (issuer, more, taken) => {
    const env = { OPENHERMIT_OIDC_ISSUER: issuer, OPENHERMIT_OIDC_CLIENT_ID: "mesh", ...more };
    expect(problemsOf(env)).toEqual(taken ? [] : [expect.stringContaining("https://")]);
  });
});

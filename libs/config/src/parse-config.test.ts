import { describe, expect, test } from "vitest";

import { flag, hostPort, integer, oneOf, optional, text, url } from "./field.ts";
import { ConfigError, parseConfig } from "./parse-config.ts";

const SHAPE = {
  listen: hostPort({ env: "LISTEN", fallback: "127.0.0.1:8780" }),
  home: text({ env: "HOME_DIR" }),
  database: optional(url({ env: "DATABASE", schemes: ["postgres", "postgresql"] })),
  level: oneOf({ env: "LEVEL", values: ["info", "debug"], fallback: "info" }),
  insecure: flag({ env: "INSECURE" }),
  workers: integer({ env: "WORKERS", fallback: 2, min: 1, max: 8 }),
};

describe("parseConfig", () => {
  test("takes defaults for what is not set or empty", () => {
    expect(parseConfig({ HOME_DIR: "/x", LEVEL: " " }, SHAPE)).toEqual({
      listen: { host: "127.0.0.1", port: 8780 },
      home: "/x",
      database: undefined,
      level: "info",
      insecure: false,
      workers: 2,
    });
  });

  test("takes what is set", () => {
    const env = { HOME_DIR: "/x", LISTEN: "[::1]:0", DATABASE: "postgres://u:p@h/d", INSECURE: "yes", WORKERS: "8" };
    expect(parseConfig(env, SHAPE)).toMatchObject({
      listen: { host: "::1", port: 0 },
      database: "postgres://u:p@h/d",
      insecure: true,
      workers: 8,
    });
  });

  test("lists all problems at once and repeats no password", () => {
    const env = { LISTEN: "localhost", DATABASE: "mysql://u:hush@h", LEVEL: "loud", INSECURE: "2", WORKERS: "9" };
    let caught: unknown;
    try {
      parseConfig(env, SHAPE);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ConfigError);
    const { problems, message } = caught as ConfigError;
    expect(problems.map((problem) => problem.split(" ")[0])).toEqual([
      "LISTEN",
      "HOME_DIR",
      "DATABASE",
      "LEVEL",
      "INSECURE",
      "WORKERS",
    ]);
    expect(message).not.toContain("hush");
  });

  test.each(["1.2.3.4:70000", "::1:80", "host:", "a b:1", "http://x:1"])("refuses to listen on %s", (raw) => {
    expect(() => parseConfig({ LISTEN: raw, HOME_DIR: "/x" }, SHAPE)).toThrow(/LISTEN must be HOST:PORT/);
  });
});

import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { temporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { isToken, newToken } from "@openhermit/ids";

import { openOperatorToken } from "./operator-token.ts";

let home: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeEach(async () => {
  home = await temporaryDirectory();
});
afterEach(() => home.remove());

describe("operator token", () => {
  test("is made once, readable by its owner only, and stays", async () => {
    const opened = await Promise.all(Array.from({ length: 8 }, () => openOperatorToken(home.path)));
    const text = (await readFile(join(home.path, "operator-token"), "utf8")).trim();
    expect(text).toMatch(/^ohm_[0-9A-Za-z]{38}$/);
    expect((await stat(join(home.path, "operator-token"))).mode & 0o777).toBe(0o600);
    expect(opened.every((token) => token.matches(text))).toBe(true);
    expect((await openOperatorToken(home.path)).matches(text)).toBe(true);
  });

  test("matches nothing else", async () => {
    const token = await openOperatorToken(home.path);
    const text = (await readFile(token.path, "utf8")).trim();
    for (const other of ["", "ohm_", text.slice(0, -1), `${text}0`, text.toLowerCase(), newToken()]) {
      expect(token.matches(other)).toBe(false);
    }
    expect(isToken(`ohm_${"0".repeat(38)}`)).toBe(false);
  });

  test("of a file that others can read is closed again; one that was mangled is named", async () => {
    const { path } = await openOperatorToken(home.path);
    await chmod(path, 0o644);
    await openOperatorToken(home.path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await writeFile(path, "ohm_mangled\n");
    await expect(openOperatorToken(home.path)).rejects.toMatchObject({ reason: "OPERATOR_TOKEN_BROKEN" });
  });
});

import { expect, test } from "vitest";
import { cutPage, decodePageToken, encodePageToken, pageSizeOf } from "./index.ts";

const ID = /^[a-z-]+$/;
const NUMBER = /^\d+$/;

test("a page ends where the next one begins, and the last one says so", () => {
  const rows = ["a", "b", "c"];
  const { page, nextPageToken } = cutPage(rows, 2, (last) => [last]);
  expect(page).toEqual(["a", "b"]);
  expect(decodePageToken(nextPageToken, [ID])).toEqual(["b"]);
  expect(cutPage(rows, 3, (last) => [last])).toEqual({ page: rows, nextPageToken: "" });
  expect(cutPage([], 3, () => [])).toEqual({ page: [], nextPageToken: "" });
  expect([pageSizeOf(0), pageSizeOf(7)]).toEqual([100, 7]);
});

test("a page ends by its bytes too, after one row at least", () => {
  const mebibyte = 1024 * 1024;
  const cut = (sizes: readonly number[], size = 10) => {
    const rows = sizes.map((bytes, i) => ({ id: "abcdef".charAt(i), bytes }));
    const { page, nextPageToken } = cutPage(
      rows,
      size,
      ({ id }) => [id],
      ({ bytes }) => bytes,
    );
    return [page.map(({ id }) => id).join(""), ...(decodePageToken(nextPageToken, [ID]) ?? [])];
  };
  const three = [mebibyte, mebibyte, mebibyte];
  expect(cut(three)).toEqual(["abc"]);
  expect(cut([...three, 1])).toEqual(["abc", "c"]);
  expect(cut([...three, 0])).toEqual(["abcd"]);
  expect(cut([...three, 1], 2)).toEqual(["ab", "b"]);
  expect(cut([9 * mebibyte, 1])).toEqual(["a", "a"]);
  expect(cut([1, 9 * mebibyte])).toEqual(["a", "a"]);
  expect(cut([9 * mebibyte])).toEqual(["a"]);
});

test("a token that no page carried is refused", () => {
  expect(decodePageToken("", [ID])).toBeUndefined();
  const token = encodePageToken(["one", "7"]);
  expect(decodePageToken(token, [ID, NUMBER])).toEqual(["one", "7"]);
  const tokens: [string, RegExp[]][] = [
    [token, [ID]],
    [token, [NUMBER, ID]],
    ["nonsense", [ID]],
    [Buffer.from("0\u001fone").toString("base64url"), [ID]],
    [encodePageToken([]), [ID]],
  ];
  for (const [bad, patterns] of tokens) {
    expect(() => decodePageToken(bad, patterns)).toThrow(expect.objectContaining({ reason: "PAGE_TOKEN_INVALID" }));
  }
});

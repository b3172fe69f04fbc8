import { argon2Sync } from "node:crypto";
import { expect, test } from "vitest";
import { createPasswordHasher } from "./password-hasher.ts";

const PASSWORD = "correct horse battery";

test("a hash is a PHC string of argon2id with 19 MiB, and verifies its password alone", async () => {
  const hasher = createPasswordHasher();
  const hash = await hasher.hash(PASSWORD);
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await hasher.hash(PASSWORD)).not.toBe(hash);
  expect(await hasher.verify(hash, PASSWORD)).toBe(true);
  expect(await hasher.verify(hash, "correct horse batterY")).toBe(false);
  expect(await hasher.verify(hash, "")).toBe(false);
});

test("the hash is the one that argon2 defines", async () => {
  const [, , , , salt = "", tag = ""] = (await createPasswordHasher().hash(PASSWORD)).split("$");
  const again = argon2Sync("argon2id", {
    message: PASSWORD,
    nonce: Buffer.from(salt, "base64"),
    memory: 19_456,
    passes: 2,
    parallelism: 1,
    tagLength: 32,
  });
  expect(Buffer.from(tag, "base64")).toEqual(again);
});

test("a password is the same however its letters are composed", async () => {
  const hasher = createPasswordHasher();
  const hash = await hasher.hash("Zw\u00f6lf Zeichen");
  expect(await hasher.verify(hash, "Zwo\u0308lf Zeichen")).toBe(true);
});

test("nobody's hash is computed as somebody's is, and so is a broken one", async () => {
  const hash = await createPasswordHasher().hash(PASSWORD);
  const costs: unknown[] = [];
  const hasher = createPasswordHasher(async (password, { salt, tag, ...parameters }) => {
    costs.push({ ...parameters, salt: salt.length, tag: tag.length, password: password.length });
    return Buffer.alloc(tag.length);
  });
  for (const stored of [hash, undefined, "", "$argon2id$broken"]) {
    expect(await hasher.verify(stored, "wrong password")).toBe(false);
  }
  const cost = { memory: 19_456, passes: 2, parallelism: 1, salt: 16, tag: 32, password: 14 };
  expect(costs).toEqual([cost, cost, cost, cost]);
});

test("two at a time are computed, the queue is bounded, and who has been here before goes first", async () => {
  let running = 0;
  let most = 0;
  const hasher = createPasswordHasher(async (_, { tag }) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    return Buffer.alloc(tag.length);
  });
  const order: string[] = [];
  const crowd = Array.from({ length: 66 }, (_, i) =>
    hasher.verify(undefined, "guess").then(() => order.push(`stranger ${i}`)),
  );
  await expect(hasher.verify(undefined, "guess")).rejects.toMatchObject({ reason: "LOGIN_BUSY" });
  await expect(hasher.hash("guess")).rejects.toMatchObject({ reason: "LOGIN_BUSY" });
  crowd.push(hasher.verify(undefined, "guess", true).then(() => order.push("known")));
  await Promise.all(crowd);
  expect(order).toHaveLength(67);
  expect(order.indexOf("known")).toBeLessThan(4);
  expect([most, running]).toEqual([2, 0]);
});

test("a place is free again after a fault", async () => {
  let faults = 4;
  const hasher = createPasswordHasher(async (_, { tag }) => {
    faults -= 1;
    if (faults >= 0) throw new Error("no memory");
    return Buffer.alloc(tag.length);
  });
  for (let i = 0; i < 4; i += 1) await expect(hasher.verify(undefined, "guess")).rejects.toThrow("no memory");
  expect(await hasher.verify(undefined, "guess")).toBe(false);
});

import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { announce } from "./access-channel-store.ts";
import { ACCESS_CHANNEL, decodeNotice, type AccessNotice } from "./access-channel.ts";
import { accessDatabase } from "./test/access-database.ts";

let store: TestDatabase;
beforeAll(async () => {
  store = await accessDatabase();
});
afterAll(() => store.drop());

it("tells what was committed, each once, and nothing of what was not", async () => {
  const heard: (AccessNotice | undefined)[] = [];
  let subscribed = false;
  const subscription = store.database.listen(
    ACCESS_CHANNEL,
    (payload) => heard.push(decodeNotice(payload)),
    () => (subscribed = true),
  );
  await waitFor(() => subscribed, { what: "the subscription" });
  const undone = store.database.transaction(async (tx) => {
    await announce(tx, [{ kind: "token", accessor: "acc_undone" }]);
    throw new Error("undone");
  });
  await expect(undone).rejects.toThrow("undone");
  await announce(store.database, []);
  await announce(store.database, [
    { kind: "directory" },
    { kind: "token", accessor: "acc_1" },
    { kind: "directory" },
    { kind: "session", sessionId: "00ff" },
  ]);
  await waitFor(() => heard.length >= 3, { what: "the notices" });
  expect(heard).toEqual([
    { kind: "directory" },
    { kind: "token", accessor: "acc_1" },
    { kind: "session", sessionId: "00ff" },
  ]);
  subscription.close();
});

it("knows nothing of a notice of a newer gateway", () => {
  expect(["", "token", "token ", "skill one"].map(decodeNotice)).toEqual([undefined, undefined, undefined, undefined]);
});

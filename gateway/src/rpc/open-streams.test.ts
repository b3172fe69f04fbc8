import { ConnectError, createClient } from "@connectrpc/connect";
import { reachOf } from "@openhermit/caller";
import { permissionDenied, type MeshError } from "@openhermit/errors";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { LinkService } from "@openhermit/protocol/mesh/v1/link_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { callerOf } from "../access/caller.ts";
import { serveCalls, type CallServer } from "../test/serve-calls.ts";
import { createTestAccess, type TestAccess } from "../test/test-access.ts";
import { createOpenStreams } from "./open-streams.ts";

const TALK = { rights: ["sessions:write", "sessions:read", "activity:read"] };
/** New calls are refused at once, open streams end within this. */
const LIMIT_MS = 5_000;

let server: CallServer;
let access: TestAccess;
let open: Set<string>;
beforeEach(async () => {
  open = new Set();
  access = createTestAccess({ alice: { ...TALK, agents: ["one", "two"] } });
  // Says one thing, then is silent until it is told to stop.
  async function* idle<Message>(name: string, signal: AbortSignal, message: Message) {
    open.add(name);
    try {
      yield message;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    } finally {
      open.delete(name);
    }
  }
  server = await serveCalls(
    (router) => {
      router.service(SessionService, {
        sendMessage: (_request, { signal }) => idle("send", signal, {}),
        async *watchTurn(_request, context) {
          if (reachOf(callerOf(context)).has("two")) yield* idle("watch", context.signal, {});
        },
      });
      router.service(ActivityService, { tailEvents: (_request, { signal }) => idle("tail", signal, {}) });
      router.service(LinkService, { attach: (_requests, { signal }) => idle("attach", signal, {}) });
    },
    { access },
  );
});
afterEach(() => server.close());

/** Opens a stream, and resolves with how it ended. */
async function opened(stream: AsyncIterable<unknown>): Promise<{ ended: Promise<string>; isOver(): boolean }> {
  const begun = Promise.withResolvers<void>();
  let over = false;
  const read = async () => {
    try {
      for await (const _ of stream) begun.resolve();
      return "ok";
    } catch (error) {
      begun.resolve();
      return ConnectError.from(error).findDetails(ErrorDetailSchema)[0]?.reason ?? String(error);
    } finally {
      over = true;
    }
  };
  const ended = read();
  await begun.promise;
  return { ended, isOver: () => over };
}
const sessions = () => createClient(SessionService, server.as("alice"));
const activity = () => createClient(ActivityService, server.as("alice"));

describe("an open stream, though nothing comes on it,", () => {
  test("ends when its credential is revoked", async () => {
    const send = await opened(sessions().sendMessage({ agentId: "one", message: "hi" }));
    const tail = await opened(activity().tailEvents({}));
    const begin = performance.now();
    access.revoke("alice");
    expect(await Promise.all([send.ended, tail.ended])).toEqual(["CREDENTIAL_INVALID", "CREDENTIAL_INVALID"]);
    expect(performance.now() - begin).toBeLessThan(LIMIT_MS);
    await waitFor(() => open.size === 0, { what: "the handlers to be told" });
    expect(access.denials).toMatchObject([{ reason: "CREDENTIAL_INVALID" }, { reason: "CREDENTIAL_INVALID" }]);
  });

  test("ends when its credential expires, which nobody announces", async () => {
    const tail = await opened(activity().tailEvents({}));
    const begin = performance.now();
    access.revoke("alice", { silently: true });
    expect(await tail.ended).toBe("CREDENTIAL_INVALID");
    expect(performance.now() - begin).toBeLessThan(LIMIT_MS);
  });

  test("ends when the right goes, or the agent it is about goes out of reach; others go on", async () => {
    const one = await opened(sessions().sendMessage({ agentId: "one", message: "hi" }));
    const two = await opened(sessions().sendMessage({ agentId: "two", message: "hi" }));
    const watch = await opened(sessions().watchTurn({ turnId: "turn-of-two" }));
    const tailTwo = await opened(activity().tailEvents({ filter: { agentId: "two" } }));
    const tail = await opened(activity().tailEvents({}));
    access.change("alice", { ...TALK, agents: ["one"] });
    expect(await Promise.all([two.ended, watch.ended, tailTwo.ended])).toEqual(Array(3).fill("RIGHT_MISSING"));
    expect([one.isOver(), tail.isOver()]).toEqual([false, false]);
    access.change("alice", { rights: ["activity:read"] });
    expect(await one.ended).toBe("RIGHT_MISSING");
    expect(tail.isOver()).toBe(false);
    access.change("alice", { rights: [] });
    expect(await tail.ended).toBe("RIGHT_MISSING");
  });

  test("of a list stays open for an agent that was out of reach from the start: that tells nothing", async () => {
    const tail = await opened(activity().tailEvents({ filter: { agentId: "three" } }));
    access.change("alice", { ...TALK, agents: ["one"] });
    const two = await opened(sessions().sendMessage({ agentId: "one", message: "hi" }));
    access.change("alice", { ...TALK, rights: ["activity:read"] });
    expect(await two.ended).toBe("RIGHT_MISSING");
    expect(tail.isOver()).toBe(false);
  });

  test("of a sidecar is not the business of these rules", async () => {
    async function* requests() {
      yield { message: { case: "pong" as const, value: { id: 1n } } };
      await new Promise(() => {});
    }
    const controller = new AbortController();
    const link = createClient(LinkService, server.as("sidecar")).attach(requests(), { signal: controller.signal });
    const attached = await opened(link);
    const tail = await opened(activity().tailEvents({}));
    access.revoke("alice");
    await tail.ended;
    expect(attached.isOver()).toBe(false);
    controller.abort();
    await attached.ended;
  });
});

describe("the watch over streams", () => {
  test("listens only while there is one", async () => {
    let listeners = 0;
    const streams = createOpenStreams(() => {
      listeners += 1;
      return () => (listeners -= 1);
    });
    async function* numbers() {
      yield 1;
      yield 2;
    }
    const first = streams.guard(numbers(), () => undefined)[Symbol.asyncIterator]();
    const second = streams.guard(numbers(), () => undefined)[Symbol.asyncIterator]();
    expect(listeners).toBe(1);
    expect([await first.next(), await first.next(), await first.next()]).toMatchObject([
      { value: 1 },
      { value: 2 },
      { done: true },
    ]);
    await second.next();
    expect(listeners).toBe(1);
    await second.return?.();
    expect(listeners).toBe(0);
  });

  test("lets nothing through once a stream may not go on, also what is ready", async () => {
    let tell = () => {};
    const streams = createOpenStreams((callback) => {
      tell = callback;
      return () => {};
    });
    let error: MeshError | undefined;
    let ended = false;
    async function* numbers() {
      try {
        for (let number = 0; ; number += 1) {
          await new Promise(setImmediate);
          yield number;
        }
      } finally {
        ended = true;
      }
    }
    const read = async () => {
      for await (const number of streams.guard(numbers(), () => error)) {
        if (number === 3) {
          error = permissionDenied("RIGHT_MISSING", "no longer");
          tell();
        }
      }
    };
    await expect(read()).rejects.toThrow("no longer");
    await waitFor(() => ended, { what: "the source to be ended" });
  });
});

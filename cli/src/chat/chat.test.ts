import type { ConnectRouter } from "@connectrpc/connect";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterEach, describe, expect, it } from "vitest";
import { runHermit, startHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

async function serve(routes: (router: ConnectRouter) => void): Promise<TestGateway> {
  gateway = await startTestGateway(routes);
  return gateway;
}

const turn = (state: TurnState, more: object = {}) => ({
  event: { event: { case: "turn" as const, value: { id: "t1", sessionId: "s1", agentId: "one", state, ...more } } },
});

const text = (value: string) => ({
  event: { event: { case: "textDelta" as const, value: { step: 1, text: value } } },
});

describe("hermit chat", () => {
  it("streams the answer to stdout and the tools to stderr, in the conversation of the user", async () => {
    const asked: object[] = [];
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* (request) {
          asked.push(request);
          yield turn(TurnState.OFFERED);
          yield {
            event: {
              event: {
                case: "toolCall" as const,
                value: { callId: "c", name: "everything__echo", argumentsJson: "{}" },
              },
            },
          };
          yield text("hel");
          yield text("lo");
          yield turn(TurnState.SUCCEEDED, { answer: "hello" });
        },
      }),
    );
    const said = await runHermit(["chat", "one", "say", "hello"], { home });
    expect(said).toMatchObject({ code: 0, stdout: "hello\n" });
    expect(said.stderr).toContain("→ everything__echo {}");
    const piped = await runHermit(["chat", "one", "-o", "json", "--new"], { home, input: "from a pipe\n" });
    expect(JSON.parse(piped.stdout)).toMatchObject({ id: "t1", state: "TURN_STATE_SUCCEEDED", answer: "hello" });
    await runHermit(["chat", "one", "review this:", "-", "be", "brief"], { home, input: "+ a line\n" });
    expect(asked).toMatchObject([
      { message: "say hello", conversation: { case: "chat", value: { platform: "cli", chatType: "dm" } } },
      { message: "from a pipe", conversation: { case: undefined } },
      { message: "review this:\n\n+ a line\n\nbe brief" },
    ]);
  });

  it("takes a turn up again when the connection breaks: by request id before it is known, by its id afterwards", async () => {
    const requestIds: string[] = [];
    const watched: string[] = [];
    const served = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* (request) {
          requestIds.push(request.requestId);
          if (requestIds.length === 1) {
            served.breakConnections();
            return;
          }
          yield turn(TurnState.RUNNING);
          yield text("one two ");
          // Broken only when the client has shown this much, so that there is something not to show twice.
          await waitFor(() => running.stdout() === "one two ", { what: "the first words" });
          served.breakConnections();
        },
        watchTurn: async function* ({ turnId }) {
          watched.push(turnId);
          yield turn(TurnState.RUNNING);
          yield { event: { event: { case: "textSnapshot" as const, value: { step: 1, text: "one two three" } } } };
          yield turn(TurnState.SUCCEEDED);
        },
      }),
    );
    const running = startHermit(["chat", "one", "count"], { home: served.home });
    expect(await running.ended).toMatchObject({ code: 0, stdout: "one two three\n" });
    expect(new Set(requestIds).size).toBe(1);
    expect(requestIds).toHaveLength(2);
    expect(watched).toEqual(["t1"]);
  });

  it("says after a while that a turn waits", async () => {
    const seen = Promise.withResolvers<void>();
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* () {
          yield turn(TurnState.QUEUED);
          await seen.promise;
          yield turn(TurnState.SUCCEEDED);
        },
      }),
    );
    const running = startHermit(["chat", "one", "hi"], { home });
    await waitFor(() => running.stderr().includes("waiting for the sidecar of one"), { what: "the note" });
    seen.resolve();
    expect((await running.ended).code).toBe(0);
  });

  it("cancels the turn on Ctrl-C and ends with 130", async () => {
    const cancelled = Promise.withResolvers<void>();
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* () {
          yield turn(TurnState.RUNNING);
          yield text("thinking ");
          await cancelled.promise;
          yield turn(TurnState.CANCELLED);
        },
        cancelTurn: ({ turnId }) => {
          expect(turnId).toBe("t1");
          cancelled.resolve();
          return {};
        },
      }),
    );
    const running = startHermit(["chat", "one", "think"], { home });
    await waitFor(() => running.stdout().includes("thinking"), { what: "the answer to begin" });
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    await cancelled.promise;
  });

  it("tells why a turn failed and ends with 1", async () => {
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* () {
          yield turn(TurnState.FAILED, { error: { reason: "MODEL_UNAVAILABLE", message: "no key", retryable: false } });
        },
      }),
    );
    const { code, stderr } = await runHermit(["chat", "one", "hi"], { home });
    expect(code).toBe(1);
    expect(stderr).toBe("error: one: model unavailable\n  no key\nnext: bin/hermit logs --agent one\n");
  });
});

import type { ConnectRouter } from "@connectrpc/connect";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
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

const logged = (position: number, agentId: string, said: string) => ({
  cursor: String(position),
  event: { id: `e${position}`, agentId, detail: { case: "messageOut" as const, value: { text: said } } },
});

describe("hermit logs", () => {
  it("prints the newest events that match, oldest first, over pages", async () => {
    const all = Array.from({ length: 1200 }, (_, index) =>
      logged(index, index % 3 === 0 ? "one" : "two", `said ${index}`),
    ).toReversed();
    const { home } = await serve((router) =>
      router.service(ActivityService, {
        queryEvents: ({ pageToken, pageSize }) => {
          const from = Number(pageToken || 0);
          const nextPageToken = from + pageSize < all.length ? String(from + pageSize) : "";
          return { events: all.slice(from, from + pageSize), nextPageToken };
        },
      }),
    );
    const { stdout } = await runHermit(["logs", "^one$", "--tail", "3", "-e", "1197", "-o", "raw"], { home });
    expect(stdout).toBe("said 1188\nsaid 1191\nsaid 1194\n");
    const lines = (await runHermit(["logs", "--tail", "400", "^one$"], { home })).stdout.trim().split("\n");
    expect(lines).toHaveLength(400);
    expect(lines[0]).toMatch(/ one +message_out +said 0$/);
    const json = await runHermit(["logs", "--tail", "1", "-o", "jsonl"], { home });
    expect(JSON.parse(json.stdout)).toMatchObject({ event: { agentId: "two", messageOut: { text: "said 1199" } } });
  });

  it("follows over a broken connection without a gap and without a double, until Ctrl-C", async () => {
    const starts: unknown[] = [];
    const served = await serve((router) =>
      router.service(ActivityService, {
        tailEvents: async function* ({ start }, context) {
          starts.push(start);
          const from = start.case === "afterCursor" ? Number(start.value) + 1 : 1;
          yield { events: [logged(from, "one", `said ${from}`), logged(from + 1, "one", `said ${from + 1}`)] };
          if (from === 1) {
            await waitFor(() => running.stdout().includes("said 2"), { what: "the second line" });
            served.breakConnections();
          }
          await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        },
      }),
    );
    const running = startHermit(["logs", "-f", "-o", "raw"], { home: served.home });
    await waitFor(() => running.stdout().includes("said 4"), { what: "the line after the break" });
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: 0, stdout: "said 1\nsaid 2\nsaid 3\nsaid 4\n" });
    expect(starts).toMatchObject([
      { case: "last", value: 100 },
      { case: "afterCursor", value: "2" },
    ]);
  });
});

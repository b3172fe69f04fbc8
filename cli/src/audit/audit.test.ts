import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runHermit, startHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const time = timestampFromDate(new Date(2020, 0, 2, 3, 4, 5, 6));
const record = (index: number, more: object = {}) => ({
  id: `r${index}`,
  cursor: String(index),
  time,
  actor: { kind: SubjectKind.MEMBER, id: "alice" },
  action: "agents.update",
  targetType: "agent",
  targetId: "one",
  outcome: AuditOutcome.DONE,
  count: 1n,
  ...more,
});

let gateway: TestGateway;
/** What is stored, oldest first. */
let stored: ReturnType<typeof record>[];
let asked: object[];
/** Called when a tail is open, before its first records. */
let onTail: (opened: number) => void;
let wake: () => void;

beforeEach(async () => {
  stored = [];
  asked = [];
  onTail = () => undefined;
  let opened = 0;
  const waiting = new Set<() => void>();
  wake = () => waiting.forEach((resolve) => resolve());
  gateway = await startTestGateway((router) => {
    router.service(AuditService, {
      // Two a page, newest first.
      queryAudit: (request) => {
        asked.push(request);
        const from = Number(request.pageToken || 0);
        const size = Math.min(2, request.pageSize);
        const found = stored.toReversed();
        return {
          records: found.slice(from, from + size),
          nextPageToken: from + size < found.length ? String(from + size) : "",
        };
      },
      tailAudit: async function* ({ cursor, filter }, { signal }) {
        asked.push({ cursor, filter });
        let sent = cursor === "" ? stored.length : stored.findIndex((one) => one.cursor === cursor) + 1;
        opened += 1;
        onTail(opened);
        yield {};
        while (!signal.aborted) {
          const records = stored.slice(sent);
          sent = stored.length;
          if (records.length > 0) yield { records };
          await new Promise<void>((resolve) => {
            waiting.add(resolve);
            signal.addEventListener("abort", () => resolve(), { once: true });
          });
        }
      },
    });
  });
});
afterEach(() => gateway.close());

const run = (...args: string[]) => runHermit(["audit", ...args], { home: gateway.home });
const idsOf = (lines: string) =>
  lines
    .split("\n")
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { id: string }).id);

describe("hermit audit", () => {
  it("prints records oldest first, a line each, without control characters", async () => {
    stored = [
      record(1, {
        changes: [
          { path: "team", newValue: "payments" },
          { path: "spec.model", oldValue: "a", newValue: "b" },
        ],
      }),
      record(2, {
        actor: { kind: SubjectKind.SERVICE_ACCOUNT, id: "ci" },
        onBehalfOf: { kind: SubjectKind.MEMBER, id: "bob" },
        action: "openhermit.fleet.v1.FleetService/DeleteAgent",
        outcome: AuditOutcome.DENIED,
        reason: "RIGHT_MISSING",
        address: "192.0.2.1",
        count: 3n,
      }),
      record(3, { actor: { kind: SubjectKind.LOCAL_OPERATOR }, targetId: "\u001b[2Jx" }),
    ];
    expect((await run()).stdout.split("\n")).toEqual([
      "2020-01-02 03:04:05.006 alice            agents.update        agent:one team=payments, spec.model: a → b",
      "2020-01-02 03:04:05.006 service-account:ci for bob FleetService/DeleteAgent agent:one denied RIGHT_MISSING, 3 times from 192.0.2.1",
      "2020-01-02 03:04:05.006 local-operator   agents.update        agent:x",
      "",
    ]);
    expect(idsOf((await run("-o", "jsonl", "--tail", "2")).stdout)).toEqual(["r2", "r3"]);
    expect(JSON.parse((await run("-o", "json", "--tail", "0")).stdout)).toEqual([]);
  });

  it("hands the filter over", async () => {
    const args = [
      "--actor",
      "service-account:*",
      "--target",
      "agent:one",
      "--action",
      "agents.",
      "--outcome",
      "denied",
    ];
    expect(await run(...args, "--since", "1h")).toMatchObject({ code: 0, stderr: "No records match.\n" });
    await run("--actor", "local-operator", "--target", "one");
    expect(asked).toMatchObject([
      {
        filter: {
          actor: { kind: SubjectKind.SERVICE_ACCOUNT, id: "" },
          targetType: "agent",
          targetId: "one",
          actionPrefix: "agents.",
          outcome: AuditOutcome.DENIED,
          startTime: {},
        },
      },
      { filter: { actor: { kind: SubjectKind.LOCAL_OPERATOR }, targetType: "", targetId: "one" } },
    ]);
    expect((await run("--actor", "sidcar:one")).stderr).toContain("Did you mean sidecar?");
  });

  it("follows without a gap or a double, also over a lost connection", async () => {
    stored = [record(1), record(2), record(3)];
    // Stored after the tail has opened and before the look back: it comes both ways.
    onTail = (opened) => opened === 1 && stored.push(record(4));
    const tail = startHermit(["audit", "-f", "--tail", "3", "-o", "jsonl"], { home: gateway.home });
    try {
      const have = (last: string) =>
        waitFor(() => tail.stdout().includes(`"${last}"`), { what: `record ${last}; ${tail.stderr()}` });
      await have("r4");
      stored.push(record(5));
      wake();
      await have("r5");
      gateway.breakConnections();
      stored.push(record(6));
      await have("r6");
      stored.push(record(7));
      wake();
      await have("r7");
      expect(idsOf(tail.stdout())).toEqual(["r2", "r3", "r4", "r5", "r6", "r7"]);
      expect(tail.stderr()).toContain("the connection is lost");
      expect(tail.stderr()).toContain("nothing was missed");
    } finally {
      tail.child.kill("SIGINT");
    }
    expect((await tail.ended).code).toBe(0);
  });

  it("misses nothing when there was no record before the connection was lost", async () => {
    const tail = startHermit(["audit", "-f", "-o", "jsonl"], { home: gateway.home });
    try {
      await waitFor(() => asked.length >= 2, { what: "the tail to be open" });
      gateway.breakConnections();
      stored.push(record(1));
      await waitFor(() => tail.stdout().includes('"r1"'), { what: `the record; ${tail.stderr()}` });
      expect(idsOf(tail.stdout())).toEqual(["r1"]);
    } finally {
      tail.child.kill("SIGINT");
    }
    await tail.ended;
  });
});

import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { invalidArgument, resourceExhausted, toError, unavailable, type MeshError } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import {
  AttachResponseSchema,
  type AttachRequest,
  type AttachResponse,
  type Hello,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Log } from "@openhermit/telemetry";
import { createLatestReports, type LatestReports } from "./latest-reports.ts";
import { releaseLease } from "./lease-store.ts";
import type { LinkRegistry } from "./link-registry.ts";
import { claimEpoch } from "./link-store.ts";
import { gatewayStopping, revoked, superseded } from "./mesh-errors.ts";
import type { HostedAgents, MeshPorts } from "./mesh-ports.ts";
import { createSidecarLink, type SidecarLink } from "./sidecar-link.ts";
import type { SnapshotPush } from "./snapshot-push.ts";
import { createTranscriptReader, type TranscriptReader } from "./transcript-reader.ts";

/** How long a sidecar may take to send Hello. */
const HELLO_TIMEOUT_MS = 10_000;
/** How long the end of an older link may hold up a newer one. */
const END_TIMEOUT_MS = 5000;

/** The Attach streams of this gateway. */
export interface AttachStreams {
  /** Serves one stream. */
  serve(
    requests: AsyncIterable<AttachRequest>,
    caller: HostedAgents,
    signal: AbortSignal,
  ): AsyncGenerator<AttachResponse>;
  /** Ends all streams and refuses new ones; resolves when their ends are reported, at most 5 s later. */
  close(): Promise<void>;
}

/** Creates the control streams. */
export function createAttachStreams(options: {
  database: Queryable;
  registry: LinkRegistry;
  snapshots: SnapshotPush;
  ports: MeshPorts;
  gatewayId: string;
  heartbeatMs: number;
  leaseMs: number;
  /** Called with each new epoch, so that what an older one still has open here ends. */
  onEpoch(sidecarId: string, epoch: bigint): void;
  log: Log;
}): AttachStreams {
  const { database, registry, snapshots, ports, gatewayId, heartbeatMs, leaseMs, log } = options;
  /** The reports of links that ended, until they are done. */
  const ending = new Map<string, Promise<void>>();
  const announced = new WeakSet<SidecarLink>();
  let closed = false;

  const reportEnd = async (link: SidecarLink): Promise<void> => {
    const { sidecarId, agentIds, epoch } = link;
    try {
      if (announced.has(link)) {
        await ports.sidecarDetached({ sidecarId, agentIds, epoch, reason: link.endReason ?? "lost" });
      }
      await releaseLease(database, link);
    } catch (error) {
      // The lease stays and runs out; the heartbeat reports it then.
      log.warn({ error, sidecar_id: sidecarId }, "end of a link could not be reported");
    }
  };

  const onEnd = (link: SidecarLink): void => {
    registry.remove(link);
    log.info({ sidecar_id: link.sidecarId, epoch: link.epoch, reason: link.endReason }, "sidecar detached");
    const before = ending.get(link.sidecarId) ?? Promise.resolve();
    const report = before
      .then(() => reportEnd(link))
      .finally(() => {
        if (ending.get(link.sidecarId) === report) ending.delete(link.sidecarId);
      });
    ending.set(link.sidecarId, report);
  };

  const open = async (caller: HostedAgents, hello: Hello): Promise<{ link: SidecarLink; cursor: number }> => {
    const { sidecarId, agentIds } = caller;
    const { pid } = hello;
    const [instanceId, host] = [storable(hello.instanceId), storable(hello.host)];
    const [version, ledgerId] = [storable(hello.version), storable(hello.ledgerId)];
    const claim = { sidecarId, gatewayId, instanceId, ledgerId, host, pid, version, leaseMs };
    const claimed = await claimEpoch(database, claim);
    if (claimed === undefined) throw revoked(sidecarId);
    const { epoch, cursor } = claimed;
    const attached = { sidecarId, agentIds, host, pid, version, epoch, instanceId };
    const link = createSidecarLink({ attached, ledgerId, onEnd });
    const { added, older } = registry.add(link);
    if (!added) throw superseded(sidecarId);
    older?.end("replaced", superseded(sidecarId));
    options.onEpoch(sidecarId, epoch);
    return { link, cursor };
  };

  /** All that comes before the first Ping: the turns are reconciled, then Welcome, then the snapshots. */
  const welcome = async (link: SidecarLink, hello: Hello, cursor: number): Promise<void> => {
    await within(END_TIMEOUT_MS, ending.get(link.sidecarId));
    const { sidecarId, agentIds } = link;
    const { deadTurnIds, foreignTurnIds = [] } = await ports.reconcileTurns({ sidecarId, agentIds }, hello.turns);
    if (link.endReason !== undefined) return;
    for (const turn of hello.turns) link.turns.set(turn.turnId, turn.attempt);
    for (const turnId of foreignTurnIds) link.turns.delete(turnId);
    announced.add(link);
    const { epoch, host, pid, version, instanceId } = link;
    await ports.sidecarAttached({ sidecarId, agentIds, host, pid, version, epoch, instanceId });
    if (link.endReason !== undefined) return;
    const value = {
      epoch,
      lease: durationFromMs(leaseMs),
      heartbeatInterval: durationFromMs(heartbeatMs),
      serverTime: timestampNow(),
      cursor: BigInt(cursor),
      deadTurnIds,
    };
    link.outgoing.push(
      create(AttachResponseSchema, { message: { case: "welcome", value } }),
      100 + 40 * deadTurnIds.length,
    );
    link.lastPongAt = performance.now();
    link.welcomed = true;
    log.info({ sidecar_id: sidecarId, epoch, host, pid }, "sidecar attached");
    snapshots.refresh(agentIds);
  };

  const read = async (link: SidecarLink, messages: AsyncIterator<AttachRequest>): Promise<void> => {
    const reports = createLatestReports({ signal: link.signal, log });
    const transcripts = createTranscriptReader({ link, read: ports.readTranscript, log });
    for (;;) {
      const next = await messages.next();
      if (link.endReason !== undefined) return;
      if (next.done === true) {
        link.end("drained");
        return;
      }
      accept(link, next.value, reports, transcripts);
    }
  };

  const accept = (
    link: SidecarLink,
    { message }: AttachRequest,
    reports: LatestReports,
    transcripts: TranscriptReader,
  ): void => {
    switch (message.case) {
      case "pong":
        link.lastPongAt = performance.now();
        return;
      case "turnAccepted":
        if (link.turns.has(message.value.turnId)) ports.turnAccepted(message.value.turnId, message.value.attempt);
        return;
      case "turnRefused": {
        const { turnId, attempt, reason, detail } = message.value;
        if (!link.turns.has(turnId)) return;
        if ((link.turns.get(turnId) ?? 0) <= attempt) link.turns.delete(turnId);
        ports.turnRefused(turnId, attempt, reason, storable(detail));
        return;
      }
      case "applied":
      case "rejected": {
        const { agentId, generation } = message.value;
        // An empty reason would read as applied.
        const rejectedReason = message.case === "rejected" ? storable(message.value.reason) || "no reason given" : "";
        requireHosted(link, agentId);
        // Kept apart, and in their order: the one says what runs, the other why the newest does not.
        reports.post(`${message.case}:${agentId}`, () =>
          ports.snapshotAnswered({ agentId, generation, rejectedReason }),
        );
        return;
      }
      case "healthReport": {
        const { agentId, components } = message.value;
        requireHosted(link, agentId);
        reports.post(`health:${agentId}`, () => ports.healthReported(agentId, components));
        return;
      }
      case "transcriptRequest":
        if (transcripts.request(message.value.sessionId, message.value.afterPosition)) return;
        throw resourceExhausted("TOO_MANY_REQUESTS", "too many transcript requests wait for an answer", {
          hint: "Wait for a page before asking for the next.",
        });
      case "hello":
      case undefined:
        throw helloExpected();
    }
  };

  return {
    async *serve(requests, caller, signal) {
      if (closed) throw gatewayStopping();
      const messages = requests[Symbol.asyncIterator]();
      const hello = await firstHello(messages);
      const { link, cursor } = await open(caller, hello);
      const onAbort = (): void => link.end("lost");
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) link.end("lost");
      if (closed) link.end("lost", gatewayStopping());
      void welcome(link, hello, cursor)
        .then(() => read(link, messages))
        .catch((error: unknown) => link.end("lost", toError(error)));
      try {
        yield* link.outgoing.drain();
      } finally {
        link.end("lost");
        signal.removeEventListener("abort", onAbort);
      }
    },
    async close() {
      closed = true;
      for (const link of registry.all()) link.end("lost", gatewayStopping());
      await within(END_TIMEOUT_MS, Promise.all(ending.values()));
    },
  };
}

async function firstHello(messages: AsyncIterator<AttachRequest>): Promise<Hello> {
  const first = await within(HELLO_TIMEOUT_MS, messages.next());
  if (first === undefined) throw unavailable("HELLO_TIMEOUT", `no Hello came within ${HELLO_TIMEOUT_MS / 1000} s`);
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case !== "hello" || storable(message.value.ledgerId) === "" || storable(message.value.instanceId) === "")
    throw helloExpected();
  return message.value;
}

/** The text without NUL characters, which PostgreSQL can't hold: one sidecar's words are stored together with the others'. */
function storable(text: string): string {
  return text.replaceAll("\0", "");
}

/** The result, or undefined when it takes longer. */
function within<T>(ms: number, work: Promise<T> | undefined): Promise<T | undefined> {
  if (work === undefined) return Promise.resolve(undefined);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined).unref();
  });
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}

function requireHosted(link: SidecarLink, agentId: string): void {
  if (link.hosted.has(agentId)) return;
  throw invalidArgument("AGENT_NOT_HOSTED", `sidecar "${link.sidecarId}" does not host agent "${agentId}"`, {
    hint: "A sidecar speaks only for the agents of its join token.",
    fields: { sidecar_id: link.sidecarId, agent_id: agentId },
  });
}

function helloExpected(): MeshError {
  return invalidArgument("HELLO_EXPECTED", "Hello with an instance id and a ledger id must be the first message, once");
}

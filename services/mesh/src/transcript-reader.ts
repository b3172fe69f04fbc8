import { create } from "@bufbuild/protobuf";
import { AttachResponseSchema } from "@openhermit/protocol/mesh/v1/link_service";
import type { TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import { createBackoff } from "@openhermit/reconcile";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@openhermit/telemetry";
import type { MeshPorts } from "./mesh-ports.ts";
import type { SidecarLink } from "./sidecar-link.ts";

const MAX_WAITING = 1000;

/** Answers the transcript requests of one link, one after the other, off the read loop. */
export interface TranscriptReader {
  /** False when too many wait already. */
  request(sessionId: string, afterPosition: bigint): boolean;
}

/** Creates the reader of one link. A page that can't be read is tried again for as long as the link lasts. */
export function createTranscriptReader(options: {
  link: SidecarLink;
  read: MeshPorts["readTranscript"];
  log: Log;
}): TranscriptReader {
  const { link, read, log } = options;
  const waiting: { sessionId: string; afterPosition: bigint }[] = [];
  let running = false;

  const run = async (): Promise<void> => {
    const backoff = createBackoff({ initialMs: 100, maxMs: 5000 });
    for (;;) {
      const next = waiting[0];
      if (next === undefined || link.endReason !== undefined) {
        running = false;
        return;
      }
      const { sessionId, afterPosition } = next;
      try {
        const { entries, more } = await read(link.agentIds, sessionId, afterPosition);
        const bytes = sizeOf(entries);
        const value = { sessionId, entries, more };
        const page = create(AttachResponseSchema, { message: { case: "transcriptPage", value } });
        do await link.outgoing.room(bytes);
        while (!link.outgoing.push(page, bytes) && !link.outgoing.ended);
        waiting.shift();
        backoff.reset();
      } catch (error) {
        log.warn(
          { error, sidecar_id: link.sidecarId, session_id: sessionId },
          "transcript could not be read, retrying",
        );
        await delay(backoff.next(), undefined, { signal: link.signal, ref: false }).catch(() => {});
      }
    }
  };

  return {
    request(sessionId, afterPosition) {
      if (waiting.length >= MAX_WAITING) return false;
      waiting.push({ sessionId, afterPosition });
      if (!running) {
        running = true;
        void run();
      }
      return true;
    },
  };
}

/** About how large the entries are, in bytes, without encoding them. */
function sizeOf(entries: readonly TranscriptEntry[]): number {
  let bytes = 100;
  for (const { entry } of entries) bytes += 100 + (entry.case === undefined ? 0 : entry.value.text.length);
  return bytes;
}

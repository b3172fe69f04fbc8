import { create } from "@bufbuild/protobuf";
import { unavailable } from "@openhermit/errors";
import { TranscriptRequestSchema, type TranscriptPage } from "@openhermit/protocol/mesh/v1/link_service";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { LinkMessage } from "../link/link.ts";

/** Brings the ledger's copy of a transcript up to date before a turn runs. */
export interface TranscriptFetch {
  /**
   * Resolves when the copy reaches the position, or the gateway has no more. Rejects with TRANSCRIPT_UNAVAILABLE after a minute without
   * an answer, and with the signal's reason when it aborts. One at a time for each session.
   */
  fetch(sessionId: string, upTo: number, signal: AbortSignal): Promise<void>;
  /** Takes an answer of the gateway. */
  page(page: TranscriptPage): void;
  /** Asks again for what was asked and not answered: the link was away. */
  askAgain(): void;
}

interface Waiting {
  upTo: number;
  resolve: () => void;
  reject: (error: unknown) => void;
  timer: NodeJS.Timeout;
}

const SILENCE_MS = 60_000;

/** Makes a fetch that asks through `send`. */
export function createTranscriptFetch(ledger: Ledger, send: (message: LinkMessage) => boolean): TranscriptFetch {
  const waiting = new Map<string, Waiting>();
  const { transcripts } = ledger;

  // Not attached: askAgain sends it.
  const ask = (sessionId: string): void => {
    const value = create(TranscriptRequestSchema, { sessionId, afterPosition: BigInt(transcripts.tail(sessionId)) });
    send({ case: "transcriptRequest", value });
  };

  return {
    async fetch(sessionId, upTo, signal) {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const timer = setTimeout(() => {
        reject(
          unavailable("TRANSCRIPT_UNAVAILABLE", `the earlier messages of session ${sessionId} did not arrive in time`, {
            hint: "send the message again when the gateway is reachable",
            fields: { session_id: sessionId },
          }),
        );
      }, SILENCE_MS);
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
      waiting.set(sessionId, { upTo, resolve, reject, timer });
      ask(sessionId);
      try {
        await promise;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        waiting.delete(sessionId);
      }
    },
    page({ sessionId, entries, more }) {
      const waiter = waiting.get(sessionId);
      if (waiter === undefined) return;
      waiter.timer.refresh();
      try {
        ledger.transaction(() => {
          for (const entry of entries) {
            // A page that was asked for twice repeats what is here.
            if (entry.position > transcripts.tail(sessionId)) transcripts.add(entry, 0);
          }
        });
      } catch (error) {
        return waiter.reject(error);
      }
      if (more && entries.length > 0 && transcripts.tail(sessionId) < waiter.upTo) ask(sessionId);
      else waiter.resolve();
    },
    askAgain() {
      for (const sessionId of waiting.keys()) ask(sessionId);
    },
  };
}

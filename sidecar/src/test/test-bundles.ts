import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { ReadBundleRequest, ReadBundleResponseSchema } from "@openhermit/protocol/mesh/v1/link_service";

type Part = MessageInitShape<typeof ReadBundleResponseSchema>;

/** What a test gateway has of skills. */
export interface TestBundles {
  /** The bundles that every agent has, by digest. */
  readonly stored: Map<string, Uint8Array>;
  /** The digests that were asked for, in order. */
  readonly reads: string[];
  /** How they are sent: whole; never; with one byte changed; the first part alone; the first part, then all is cut, once. */
  mode: "whole" | "never" | "wrong" | "short" | "cut";
  readBundle(request: ReadBundleRequest, context: HandlerContext): AsyncIterable<Part>;
}

/** Makes a gateway's bundles; none are stored. */
export function createTestBundles(options: {
  authenticate: (context: HandlerContext) => void;
  /** Destroys all connections. */
  cut: () => void;
}): TestBundles {
  const bundles: TestBundles = {
    stored: new Map(),
    reads: [],
    mode: "whole",
    async *readBundle({ digest }, context) {
      options.authenticate(context);
      bundles.reads.push(digest);
      const { mode } = bundles;
      const data = bundles.stored.get(digest);
      if (mode === "never") {
        await new Promise((resolve) => context.signal.addEventListener("abort", resolve, { once: true }));
        return;
      }
      if (data === undefined) throw new ConnectError("no agent of the sidecar has this bundle", Code.NotFound);
      const sent = Uint8Array.from(data);
      if (mode === "wrong") sent[sent.length - 1] = (sent[sent.length - 1] ?? 0) ^ 1;
      // Small parts, so that there is more than one.
      for (let from = 0; from < sent.length; from += 64) {
        yield { data: sent.subarray(from, from + 64) };
        if (mode === "short") return;
        if (mode === "cut") {
          bundles.mode = "whole";
          options.cut();
        }
      }
    },
  };
  return bundles;
}

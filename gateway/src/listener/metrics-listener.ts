import type { HostPort } from "@openhermit/config";
import { toError } from "@openhermit/errors";
import type { Log } from "@openhermit/telemetry";

import { shareText } from "../web/shared-text.ts";
import { listen, type Listener, type RequestHandler } from "./listener.ts";

/** How the port of the metrics listens. */
export interface MetricsListenerOptions {
  listen: HostPort;
  /** Allows a host that is not loopback. */
  insecure: boolean;
  /** All metrics as text. */
  metrics(): Promise<string>;
  log: Log;
}

/**
 * Opens a port that answers GET /metrics without a credential, and nothing else: for a scraper that can't hold one.
 * On loopback, unless it was allowed to be elsewhere. Errors: as those of `listen`.
 */
export function listenMetrics(options: MetricsListenerOptions): Promise<Listener> {
  const { insecure, log } = options;
  const { host, port } = options.listen;
  const metrics = shareText(1_000, options.metrics);
  const handler: RequestHandler = (request, response) => {
    const answer = (status: number, text: string) => {
      response.statusCode = status;
      response.setHeader("cache-control", "no-store");
      response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8");
      response.setHeader("x-content-type-options", "nosniff");
      response.end(request.method === "HEAD" ? "" : text);
    };
    if (request.url !== "/metrics") {
      answer(404, "only /metrics is here\n");
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      answer(405, "GET only\n");
    } else {
      metrics().then(
        (text) => answer(200, text),
        (error: unknown) => {
          log.error({ err: toError(error) }, "metrics failed");
          answer(500, "the metrics can't be read now\n");
        },
      );
    }
  };
  return listen({ host, port, insecure, handler, log, setting: "OPENHERMIT_METRICS_LISTEN" });
}

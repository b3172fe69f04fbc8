/**
 * The product's own stack, listener and gate and interceptors, with a LinkService that stores nothing: what is measured is
 * the way, not the goods. Run as a child process; prints `PORT n`.
 */
import type { ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { AttachResponseSchema, LinkService, PublishResponseSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { createLog, createTelemetry } from "@openhermit/telemetry";
import { createAttemptLimits } from "../../../gateway/src/access/attempt-limits.ts";
import { listen } from "../../../gateway/src/listener/listener.ts";
import { createRpcHandler } from "../../../gateway/src/rpc/rpc.ts";
import { noPrincipals } from "./open-access.ts";

const log = createLog({ service: "bench", level: "error" });

function routes(router: ConnectRouter): void {
  router.service(LinkService, {
    async *attach(requests) {
      for await (const { message } of requests) {
        if (message.case !== "transcriptRequest") continue;
        const { sessionId } = message.value;
        yield create(AttachResponseSchema, { message: { case: "transcriptPage", value: { sessionId } } });
      }
    },
    async *publish(requests) {
      let sequence = 0n;
      for await (const { message } of requests) {
        if (message.case === "batch") sequence += BigInt(message.value.entries.length);
      }
      yield create(PublishResponseSchema, { message: { case: "acknowledged", value: { sequence } } });
    },
  });
}

const listener = await listen({
  host: "127.0.0.1",
  port: 0,
  log,
  handler: createRpcHandler({
    routes,
    verifier: { verify: async () => ({ kind: "sidecar", sidecarId: "one", agentIds: ["one"] }) },
    policy: noPrincipals,
    limits: createAttemptLimits(),
    admit: () => undefined,
    telemetry: await createTelemetry({ service: "bench", version: "1", env: {} }),
    log,
    fallback: (_request, response) => void (response as ServerResponse).writeHead(404).end(),
  }).handle,
});
console.log(`PORT ${new URL(listener.url).port}`);
process.on("disconnect", () => process.exit(0));

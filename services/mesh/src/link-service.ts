import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Caller } from "@openhermit/caller";
import { permissionDenied } from "@openhermit/errors";
import type { LinkService } from "@openhermit/protocol/mesh/v1/link_service";
import type { AttachStreams } from "./attach-stream.ts";
import type { BundleReads } from "./bundle-reads.ts";
import type { HostedAgents } from "./mesh-ports.ts";
import type { PublishStreams } from "./publish-stream.ts";

/** The RPCs of LinkService. Who a sidecar is and which agents it hosts comes from its credential alone. */
export function createLinkService(options: {
  attachStreams: AttachStreams;
  publishStreams: PublishStreams;
  bundleReads: BundleReads;
  caller(context: HandlerContext): Caller;
}): ServiceImpl<typeof LinkService> {
  const { attachStreams, publishStreams, bundleReads } = options;

  const sidecarOf = (context: HandlerContext): HostedAgents => {
    const caller = options.caller(context);
    if (caller.kind === "sidecar") return caller;
    throw permissionDenied("SIDECAR_REQUIRED", "only a sidecar with an access token may use the link", {
      hint: "Join with a join token, then get an access token with IssueToken.",
    });
  };

  return {
    attach: (requests, context) => attachStreams.serve(requests, sidecarOf(context), context.signal),
    publish: (requests, context) => publishStreams.serve(requests, sidecarOf(context).sidecarId, context.signal),
    readBundle: (request, context) => bundleReads.serve(request, sidecarOf(context), context.signal),
  };
}

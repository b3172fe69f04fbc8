import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type Interceptor,
} from "@connectrpc/connect";
import { MeshError } from "@openhermit/errors";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import type { AuditTrail } from "../audit/audit-trail.ts";

/** Reads a trail as its callers do; errors carry their reason as the message. */
export function auditClient(trail: Pick<AuditTrail, "rpcs">): Client<typeof AuditService> {
  return createClient(
    AuditService,
    createRouterTransport((router) => router.service(AuditService, trail.rpcs), {
      router: { interceptors: [withReasons] },
    }),
  );
}

const withReasons: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: guarded(response.message) } : response;
  } catch (error) {
    throw toReason(error);
  }
};

async function* guarded<Message>(messages: AsyncIterable<Message>): AsyncGenerator<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw toReason(error);
  }
}

function toReason(error: unknown): unknown {
  return error instanceof MeshError ? new ConnectError(error.reason, Code.Unknown) : error;
}

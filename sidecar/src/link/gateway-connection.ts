import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { LinkService } from "@openhermit/protocol/mesh/v1/link_service";

/** One HTTP/2 connection to the gateway, made when it is needed. */
export interface GatewayConnection {
  readonly enrollment: Client<typeof EnrollmentService>;
  readonly link: Client<typeof LinkService>;
  /** Drops the connection with all of its streams; the next call makes a new one. */
  drop(): void;
}

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Makes the connection's clients. A URL with https speaks TLS and checks the certificate. */
export function createGatewayConnection(gatewayUrl: string): GatewayConnection {
  const baseUrl = gatewayUrl.replace(/\/+$/, "");
  const sessionManager = new Http2SessionManager(baseUrl);
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "2",
    sessionManager,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [],
  });
  return {
    enrollment: createClient(EnrollmentService, transport),
    link: createClient(LinkService, transport),
    drop: () => sessionManager.abort(),
  };
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { CliError } from "./cli-error.ts";
import type { CliConfig } from "./config.ts";
import { ExitCode } from "./exit-code.ts";

/** The clients of one gateway, over one HTTP/2 connection. */
export interface Gateway {
  readonly url: string;
  readonly activity: Client<typeof ActivityService>;
  readonly enrollment: Client<typeof EnrollmentService>;
  readonly fleet: Client<typeof FleetService>;
  readonly health: Client<typeof HealthService>;
  readonly manifest: Client<typeof ManifestService>;
  readonly sessions: Client<typeof SessionService>;
  /** Ends the connection; streams that still run fail. */
  close(): void;
}

/** For calls that stream: no deadline, since a turn or a tail may last. */
export const NO_DEADLINE = { timeoutMs: 0 } as const;

/** How long a unary call may take. */
const CALL_TIMEOUT_MS = 30_000;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** What a running gateway writes into its home: `gateway.json`. */
export interface GatewayFile {
  url: string;
  pid: number;
  version: string;
}

/** What stands in `gateway.json`; undefined when there is none or it can't be read. */
export function readGatewayFile(home: string): GatewayFile | undefined {
  try {
    const value = JSON.parse(readFileSync(join(home, "gateway.json"), "utf8")) as Partial<GatewayFile>;
    if (typeof value.url !== "string" || typeof value.pid !== "number") return undefined;
    return { url: value.url, pid: value.pid, version: value.version ?? "" };
  } catch {
    return undefined;
  }
}

/** Finds the gateway and the token that it takes. Throws CliError that says what is missing. */
export function findGateway(config: Pick<CliConfig, "home" | "url" | "token">): { url: string; token: string } {
  const local = readGatewayFile(config.home)?.url;
  const url = config.url ?? local;
  if (url === undefined) {
    throw new CliError("no gateway is running here", {
      why: `${join(config.home, "gateway.json")} does not exist, and neither --url nor OPENHERMIT_URL is given`,
      next: "bin/hermit up",
    });
  }
  if (config.token !== undefined) return { url, token: config.token };
  // The token in the home is the key to this host's gateway; it is not sent to another host.
  if (url !== local && !isLoopback(url)) {
    throw new CliError(`no token for ${url}`, {
      why: "the token in the home is sent only to the gateway of this host",
      next: "set OPENHERMIT_TOKEN to a token of that gateway",
      exitCode: ExitCode.loginNeeded,
    });
  }
  return { url, token: readToken(join(config.home, "operator-token")) };
}

/** Makes the clients. Connects with the first call. */
export function createGateway({ url, token }: { url: string; token: string }): Gateway {
  // The pings find a connection that is dead without a word, in the middle of a stream.
  const sessionManager = new Http2SessionManager(url, { pingIntervalMs: 15_000, pingTimeoutMs: 10_000 });
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "2",
    sessionManager,
    defaultTimeoutMs: CALL_TIMEOUT_MS,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return {
    url,
    activity: createClient(ActivityService, transport),
    enrollment: createClient(EnrollmentService, transport),
    fleet: createClient(FleetService, transport),
    health: createClient(HealthService, transport),
    manifest: createClient(ManifestService, transport),
    sessions: createClient(SessionService, transport),
    close: () => sessionManager.abort(),
  };
}

function readToken(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === "EACCES";
    throw new CliError("no operator token", {
      why: denied ? `${file} belongs to another user` : `${file} does not exist`,
      next: denied
        ? "run this as the user who runs the gateway, or set OPENHERMIT_TOKEN"
        : "bin/hermit up, or set OPENHERMIT_TOKEN",
      exitCode: ExitCode.loginNeeded,
      cause: error,
    });
  }
}

function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

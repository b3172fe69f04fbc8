import { readFileSync, rmSync } from "node:fs";

import { Code, ConnectError, type CallOptions, type Client } from "@connectrpc/connect";
import { failedPrecondition, toError, unauthenticated } from "@openhermit/errors";
import type { EnrollmentService, KeyProof } from "@openhermit/protocol/mesh/v1/enrollment_service";
import type { Log } from "@openhermit/telemetry";

import type { ProofPurpose, SidecarKey } from "./sidecar-key.ts";

/** An access token and its life. */
export interface IssuedToken {
  accessToken: string;
  /** From now, in milliseconds. */
  lifetimeMs: number;
}

/** The sidecar's dealings with EnrollmentService. */
export interface Enrollment {
  /**
   * Trades a key proof for an access token; joins first when there is a join token. Errors: SIDECAR_NOT_JOINED when the key is
   * unknown or revoked and there is no join token that is accepted; what the connection throws.
   */
  issueToken(signal: AbortSignal): Promise<IssuedToken>;
}

/** What an enrollment needs. */
export interface EnrollmentOptions {
  client: Client<typeof EnrollmentService>;
  key: SidecarKey;
  /** A file with a join token. Deleted after its use. */
  joinTokenFile: string | undefined;
  log: Log;
}

const TIMEOUT_MS = 10_000;

/** Makes an enrollment. It says nothing before it is asked for a token. */
export function createEnrollment(options: EnrollmentOptions): Enrollment {
  const { client, key, joinTokenFile, log } = options;

  /** Makes a call with a proof; once more with a new nonce, since the gateway may have restarted in between. */
  const withProof = async <T>(
    purpose: ProofPurpose,
    signal: AbortSignal,
    call: (proof: KeyProof, options: CallOptions) => Promise<T>,
  ): Promise<T> => {
    const calling = { signal, timeoutMs: TIMEOUT_MS };
    const once = async (): Promise<T> => {
      const { nonce } = await client.getNonce({}, calling);
      return call(key.prove(purpose, nonce), calling);
    };
    try {
      return await once();
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      return once();
    }
  };

  const join = async (signal: AbortSignal): Promise<void> => {
    const joinToken = readJoinToken(joinTokenFile);
    if (joinTokenFile === undefined || joinToken === undefined) return;
    try {
      const joined = await withProof("join", signal, (proof, calling) => client.join({ joinToken, proof }, calling));
      log.info({ sidecar_id: joined.sidecarId, agent_ids: joined.agentIds }, "sidecar joined");
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      // It may have been used by this very sidecar, which then was stopped before it could delete the file: then the key is known.
      log.warn({ reason: ConnectError.from(error).rawMessage }, "join token refused");
    }
    rmSync(joinTokenFile, { force: true });
  };

  return {
    async issueToken(signal) {
      await join(signal);
      try {
        const issued = await withProof("token", signal, (proof, calling) => client.issueToken({ proof }, calling));
        const { seconds = 0n, nanos = 0 } = issued.lifetime ?? {};
        return { accessToken: issued.accessToken, lifetimeMs: Number(seconds) * 1000 + nanos / 1e6 };
      } catch (error) {
        if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
        throw unauthenticated("SIDECAR_NOT_JOINED", "the gateway does not know this sidecar's key, or has revoked it", {
          hint: "create a join token and give its file to the sidecar in OPENHERMIT_JOIN_TOKEN_FILE",
          cause: error,
        });
      }
    },
  };
}

function readJoinToken(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw failedPrecondition("JOIN_TOKEN_UNREADABLE", `the join token file ${path} can't be read`, {
      hint: toError(error).message,
      cause: error,
    });
  }
  return text === "" ? undefined : text;
}

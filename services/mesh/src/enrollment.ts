import type { Change, Reach, RecordChanges } from "@openhermit/caller";
import { alreadyExists, invalidArgument, unauthenticated, type MeshError } from "@openhermit/errors";
import { isUniqueViolation, type Database, type Queryable } from "@openhermit/postgres";
import { ACCESS_TOKEN_LIFE_S, readAccessToken, signAccessToken } from "./access-token.ts";
import { isSignedBy, publicKeyOf, thumbprintOf } from "./ed25519.ts";
import {
  consumeJoinToken,
  consumeNonceOfKey,
  insertJoinToken,
  lockSidecar,
  readSidecarAgents,
  type EnrolledSidecar,
  type UsedNonce,
} from "./enrollment-store.ts";
import type { GatewayKeys } from "./gateway-key.ts";
import { hashJoinToken, makeJoinToken } from "./join-token.ts";
import { checkNonce, makeNonce } from "./nonce.ts";
import type { SidecarIdentities } from "./sidecar-identities.ts";

/** Proves that the caller holds a key. */
export interface Proof {
  /** 32 bytes. */
  publicKey: Uint8Array;
  nonce: string;
  /** 64 bytes, of `openhermit-mesh-v1\n<purpose>\n<nonce>`. */
  signature: Uint8Array;
}

/** Who presents an access token. */
export interface VerifiedSidecar {
  sidecarId: string;
  agentIds: string[];
  jti: string;
  expiresAt: Date;
}

/** A join token, shown once. */
export interface NewJoinToken {
  joinToken: string;
  expireTime: Date;
}

/** How sidecars get their identity. */
export interface Enrollment {
  /** A single-use token that lets one sidecar join within 10 minutes; for sidecars that the gateway starts itself. */
  createJoinToken(sidecarId: string, agentIds: readonly string[]): Promise<NewJoinToken>;
  /**
   * The same for somebody who asks, recorded. Who joins replaces the sidecar's key and agents: throws SIDECAR_EXISTS when
   * the sidecar hosts, or is invited to host, agents out of reach, or is named like one.
   */
  inviteSidecar(
    sidecarId: string,
    agentIds: readonly string[],
    by: { reach: Reach; record: RecordChanges },
  ): Promise<NewJoinToken>;
  /** A nonce for one proof within 60 seconds. */
  makeNonce(): Promise<string>;
  /** Registers a key, recorded. Throws unauthenticated for a token or proof that is wrong, used or too old. */
  join(joinToken: string, proof: Proof, recordOf: (sidecarId: string) => RecordChanges): Promise<EnrolledSidecar>;
  /** Trades a proof for an access token. Throws unauthenticated for a wrong proof and an unknown or revoked key. */
  issueToken(proof: Proof): Promise<{ accessToken: string; lifetimeMs: number }>;
  /** Undefined when the token is not valid now. No statement, once key and sidecar are known. */
  verifyAccessToken(token: string): Promise<VerifiedSidecar | undefined>;
}

const nonceRefused = (): MeshError =>
  unauthenticated("NONCE_INVALID", "the nonce is unknown, too old or already used", {
    hint: "Get a new one with GetNonce and sign that.",
  });

const joinTokenRefused = (): MeshError =>
  unauthenticated("JOIN_TOKEN_INVALID", "the join token is unknown, used or too old", {
    hint: "Create a new one with CreateJoinToken; it can be used once, within 10 minutes.",
  });

const sidecarExists = (sidecarId: string): MeshError =>
  alreadyExists("SIDECAR_EXISTS", `sidecar "${sidecarId}" exists already`, {
    hint: "Choose another id for the sidecar.",
    fields: { sidecar_id: sidecarId },
  });

/** The record of what becomes of a sidecar: for which agents, and never the token. */
const sidecarChange = (action: string, sidecarId: string, agentIds: readonly string[]): Change => ({
  action,
  targetType: "sidecar",
  targetId: sidecarId,
  fields: [{ path: "agents", before: "", after: agentIds.join(", ") }],
});

async function newJoinToken(db: Queryable, sidecarId: string, agentIds: readonly string[]): Promise<NewJoinToken> {
  const joinToken = makeJoinToken();
  const expireTime = await insertJoinToken(db, { hash: hashJoinToken(joinToken), sidecarId, agentIds });
  return { joinToken, expireTime };
}

/** Creates the enrollment over the stored keys and tokens. */
export function createEnrollment(options: {
  database: Database;
  keys: GatewayKeys;
  identities: SidecarIdentities;
}): Enrollment {
  const { database, keys, identities } = options;

  const check = async (proof: Proof, purpose: "join" | "token"): Promise<UsedNonce> => {
    const nonce = await checkNonce(keys, proof.nonce);
    if (nonce === undefined) throw nonceRefused();
    const key = publicKeyOf(proof.publicKey);
    if (key === undefined || !isSignedBy(key, `openhermit-mesh-v1\n${purpose}\n${proof.nonce}`, proof.signature)) {
      throw unauthenticated("PROOF_INVALID", "the signature is not of this key, purpose and nonce", {
        hint: 'Sign "openhermit-mesh-v1\\n" + purpose + "\\n" + nonce with Ed25519; the purpose is join or token.',
      });
    }
    return nonce;
  };

  return {
    createJoinToken: (sidecarId, agentIds) => newJoinToken(database, sidecarId, agentIds),

    async inviteSidecar(sidecarId, agentIds, { reach, record }) {
      return await database.transaction(async (tx) => {
        // Of two who invite one sidecar at once for agents of theirs, the second one sees the first.
        await lockSidecar(tx, sidecarId);
        const concerned = reach.all ? [] : [sidecarId, ...(await readSidecarAgents(tx, sidecarId))];
        if (!concerned.every((id) => reach.has(id))) throw sidecarExists(sidecarId);
        await record(tx, [sidecarChange("sidecars.invite", sidecarId, agentIds)]);
        return await newJoinToken(tx, sidecarId, agentIds);
      });
    },

    makeNonce: () => makeNonce(keys),

    async join(joinToken, proof, recordOf) {
      const nonce = await check(proof, "join");
      const tokenHash = hashJoinToken(joinToken);
      try {
        const joined = await database.transaction(async (tx) => {
          const sidecar = await consumeJoinToken(tx, { tokenHash, publicKey: proof.publicKey, nonce });
          if (sidecar === undefined) throw joinTokenRefused();
          const change = sidecarChange("sidecars.join", sidecar.sidecarId, sidecar.agentIds);
          await recordOf(sidecar.sidecarId)(tx, [change]);
          return sidecar;
        });
        identities.forget(joined.sidecarId);
        return joined;
      } catch (error) {
        if (!isUniqueViolation(error, "sidecars_public_key_unique")) throw error;
        throw invalidArgument("KEY_IN_USE", "another sidecar has joined with this key", {
          hint: "Each sidecar makes a key of its own; give this one its own home folder.",
          cause: error,
        });
      }
    },

    async issueToken(proof) {
      const nonce = await check(proof, "token");
      const sidecar = await consumeNonceOfKey(database, { publicKey: proof.publicKey, nonce });
      if (sidecar === undefined) {
        throw unauthenticated("KEY_UNKNOWN", "the key is unknown or revoked, or the nonce was already used", {
          hint: "If it happens again with a new nonce, join again with a new join token.",
        });
      }
      const thumbprint = thumbprintOf(proof.publicKey);
      const accessToken = await signAccessToken(keys, { sidecarId: sidecar.sidecarId, thumbprint });
      return { accessToken, lifetimeMs: ACCESS_TOKEN_LIFE_S * 1000 };
    },

    async verifyAccessToken(token) {
      const claims = await readAccessToken(keys, token);
      if (claims === undefined) return undefined;
      const identity = await identities.find(claims.sidecarId);
      if (identity === undefined || identity.thumbprint !== claims.thumbprint) return undefined;
      return { sidecarId: claims.sidecarId, agentIds: identity.agentIds, jti: claims.jti, expiresAt: claims.expiresAt };
    },
  };
}

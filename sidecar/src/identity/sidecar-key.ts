import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { chmodSync, readFileSync, renameSync, statSync } from "node:fs";

import { create } from "@bufbuild/protobuf";
import { failedPrecondition, toError } from "@openhermit/errors";
import { KeyProofSchema, type KeyProof } from "@openhermit/protocol/mesh/v1/enrollment_service";

import { writeFileDurably } from "./write-file-durably.ts";

/** What a proof is for. */
export type ProofPurpose = "join" | "token";

/** The sidecar's own Ed25519 key. The private half never leaves this process and its file. */
export interface SidecarKey {
  /** Signs a nonce of the gateway. */
  prove(purpose: ProofPurpose, nonce: string): KeyProof;
}

/** Reads the key from its file, or makes one and writes it with mode 0600. Errors: SIDECAR_KEY_UNUSABLE. */
export function loadSidecarKey(path: string): SidecarKey {
  const key = readKey(path) ?? makeKey(path);
  const publicKey = rawPublicKey(key);
  return {
    prove(purpose, nonce) {
      const text = `openhermit-mesh-v1\n${purpose}\n${nonce}`;
      return create(KeyProofSchema, { publicKey, nonce, signature: sign(null, Buffer.from(text, "utf8"), key) });
    },
  };
}

function readKey(path: string): KeyObject | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  try {
    // A key that others could read is theirs too, but refusing to start would not take it back from them.
    if ((file.mode & 0o077) !== 0) chmodSync(path, 0o600);
    const key = createPrivateKey(readFileSync(path));
    if (key.asymmetricKeyType !== "ed25519") throw new Error(`it is a key of type ${key.asymmetricKeyType}`);
    return key;
  } catch (error) {
    throw failedPrecondition("SIDECAR_KEY_UNUSABLE", `the key file ${path} can't be used: ${toError(error).message}`, {
      hint: "move it away and let the sidecar join again with a new join token",
      cause: error,
    });
  }
}

function makeKey(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync("ed25519");
  writeFileDurably(`${path}.new`, privateKey.export({ type: "pkcs8", format: "pem" }));
  renameSync(`${path}.new`, path);
  return privateKey;
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const { x } = createPublicKey(key).export({ format: "jwk" });
  return new Uint8Array(Buffer.from(x ?? "", "base64url"));
}

import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Queryable } from "@openhermit/postgres";
import { publicKeyOf } from "./ed25519.ts";
import { listGatewayKeys, publishGatewayKey } from "./gateway-key-store.ts";

/** The shortest time between two reads of the keys of all gateways: a flood of made-up key ids costs no more than that. */
const MIN_RELOAD_MS = 200;

/**
 * The keys that sign nonces and access tokens. Each gateway makes its own at its start and stores only the public
 * half, so that every gateway verifies what any of them has signed.
 */
export interface GatewayKeys {
  /** The id of this gateway's own key. */
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** Signs a text with this gateway's own key, once the other gateways can read its public half. */
  sign(text: string): Promise<Uint8Array>;
  /** The public key of that id; reads the stored keys when it is not known yet. Undefined when there is none. */
  find(keyId: string): Promise<KeyObject | undefined>;
  /** Stores the public half. Throws while the database is away. */
  publish(): Promise<void>;
  /** Reads the stored keys, and forgets those that are gone. */
  reload(): Promise<void>;
}

/** Makes a new signing key. */
export function createGatewayKeys(options: { database: Queryable; gatewayId: string }): GatewayKeys {
  const { database, gatewayId } = options;
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const keyId = randomBytes(12).toString("base64url");
  const rawPublicKey = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  let known = new Map<string, KeyObject>([[keyId, publicKey]]);
  let published: Promise<void> | undefined;
  let loading: Promise<void> | undefined;
  let lastLoad = 0;

  const publish = (): Promise<void> => publishGatewayKey(database, { keyId, publicKey: rawPublicKey, gatewayId });

  const load = async (): Promise<void> => {
    const wait = lastLoad + MIN_RELOAD_MS - performance.now();
    if (lastLoad > 0 && wait > 0) await delay(wait, undefined, { ref: false });
    lastLoad = performance.now();
    const fresh = new Map([[keyId, publicKey]]);
    for (const stored of await listGatewayKeys(database)) {
      const key = publicKeyOf(stored.publicKey);
      if (key !== undefined) fresh.set(stored.keyId, key);
    }
    known = fresh;
  };
  const reload = (): Promise<void> => (loading ??= load().finally(() => (loading = undefined)));

  return {
    keyId,
    privateKey,
    publish,
    reload,
    async sign(text) {
      published ??= publish().catch((error: unknown) => {
        published = undefined;
        throw error;
      });
      await published;
      return sign(null, Buffer.from(text), privateKey);
    },
    async find(id) {
      const key = known.get(id);
      if (key !== undefined) return key;
      await reload();
      return known.get(id);
    },
  };
}

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** The secret of one login and what the page is told of it (RFC 7636, S256). */
export interface LoginSecret {
  /** Stays here until the code is exchanged. */
  readonly verifier: string;
  readonly challenge: string;
  /** Comes back with the code, so that a code of somebody else is told. */
  readonly state: string;
}

/** Makes a new secret. */
export function newLoginSecret(): LoginSecret {
  const verifier = randomBytes(32).toString("base64url");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  return { verifier, challenge, state: randomBytes(24).toString("base64url") };
}

/** The page on which a person approves the login; without a port it shows the code. */
export function loginPageUrl(
  gatewayUrl: string,
  { challenge, state }: LoginSecret,
  device: { name: string; port: number | undefined },
): string {
  const url = new URL(`${gatewayUrl.replace(/\/+$/, "")}/cli-login`);
  url.searchParams.set("challenge", challenge);
  url.searchParams.set("name", device.name);
  if (device.port !== undefined) {
    url.searchParams.set("port", String(device.port));
    url.searchParams.set("state", state);
  }
  return url.href;
}

/** Compares without telling by its time how much is equal. */
export function isSame(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

import { randomBytes, randomInt } from "node:crypto";
import { crc32 } from "node:zlib";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH = 32;
const CHECK_LENGTH = 6;
const CODE_BYTES = 32;

/** A new token: `ohm_`, 32 random characters, 6 of a checksum that tells a token which was cut or mistyped. */
export function newToken(): string {
  let random = "";
  for (let index = 0; index < RANDOM_LENGTH; index += 1) {
    random += ALPHABET.charAt(randomInt(ALPHABET.length));
  }
  return `ohm_${random}${checksum(random)}`;
}

/** Whether the text has the form of a token and its checksum fits. */
export function isToken(text: string): boolean {
  const random = text.slice(4, 4 + RANDOM_LENGTH);
  return (
    text.length === 4 + RANDOM_LENGTH + CHECK_LENGTH &&
    text.startsWith("ohm_") &&
    text.slice(4 + RANDOM_LENGTH) === checksum(random)
  );
}

/** A new secret of 256 random bits that works once or for a while: a code in a link, the id of a session. */
export function newCode(): string {
  return randomBytes(CODE_BYTES).toString("base64url");
}

function checksum(random: string): string {
  let rest = crc32(random);
  let text = "";
  for (let index = 0; index < CHECK_LENGTH; index += 1) {
    text = ALPHABET.charAt(rest % ALPHABET.length) + text;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return text;
}

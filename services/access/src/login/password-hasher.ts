import { argon2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { resourceExhausted } from "@openhermit/errors";
import { passwordBytes } from "./password.ts";

/** Makes and checks the hashes of passwords. */
export interface PasswordHasher {
  /** The hash of a password as a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Errors: LOGIN_BUSY. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password has this hash. Undefined, for a member that does not exist, costs the same. Errors: LOGIN_BUSY.
   *
   * @param first goes before those who wait, and is not refused for their number: somebody who has been here before.
   */
  verify(hash: string | undefined, password: string, first?: boolean): Promise<boolean>;
}

/** OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane. */
const PARAMETERS = { memory: 19 * 1024, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** Hashes at a time: 40 MiB, and half of the threads that files and names also need. */
const AT_ONCE = 2;
/** How many may wait: about a second and a half; and with those who go first. */
const MAX_WAITING = 64;
const MAX_WAITING_FIRST = 128;

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,86})$/;

/** Computes the tag of a password. */
export type DeriveTag = (password: Buffer, hash: Hash) => Promise<Buffer>;

const derive = promisify(argon2);
const argon2id: DeriveTag = (message, { salt, tag, ...parameters }) =>
  derive("argon2id", { ...parameters, message, nonce: salt, tagLength: tag.length });

/** A hash, read. */
export interface Hash {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** Makes the hasher: argon2id, two at a time. Whoever comes when 64 wait is refused. */
export function createPasswordHasher(deriveTag: DeriveTag = argon2id): PasswordHasher {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function inTurn<T>(first: boolean, work: () => Promise<T>): Promise<T> {
    if (running >= AT_ONCE) {
      if (waiting.length >= (first ? MAX_WAITING_FIRST : MAX_WAITING)) {
        throw resourceExhausted("LOGIN_BUSY", "too many people log in at this moment", {
          hint: "Try again in a few seconds.",
          fields: { retry_after_seconds: "2" },
        });
      }
      await new Promise<void>((resolve) => (first ? waiting.unshift(resolve) : waiting.push(resolve)));
    } else {
      running += 1;
    }
    try {
      return await work();
    } finally {
      // The place goes to the next in line.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  const tagOf = (password: string, hash: Hash, first = false): Promise<Buffer> =>
    inTurn(first, () => deriveTag(passwordBytes(password), hash));

  // Nobody's: no password has it as its hash.
  const nobody: Hash = { ...PARAMETERS, salt: randomBytes(SALT_BYTES), tag: randomBytes(TAG_BYTES) };

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      const tag = await tagOf(password, { ...PARAMETERS, salt, tag: Buffer.alloc(TAG_BYTES) });
      return format({ ...PARAMETERS, salt, tag });
    },
    async verify(text, password, first) {
      const hash = parse(text) ?? nobody;
      return timingSafeEqual(await tagOf(password, hash, first), hash.tag);
    },
  };
}

function format({ memory, passes, parallelism, salt, tag }: Hash): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

function parse(text: string | undefined): Hash | undefined {
  const [, memory, passes, parallelism, salt, tag] = PHC.exec(text ?? "") ?? [];
  if (salt === undefined || tag === undefined) return undefined;
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, "base64"),
    tag: Buffer.from(tag, "base64"),
  };
}

/** PHC strings carry no padding. */
function base64(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("=", "");
}

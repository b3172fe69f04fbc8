import { randomFillSync } from "node:crypto";

const POOL_SIZE = 2048;
const pool = new Uint8Array(POOL_SIZE);
let poolOffset = POOL_SIZE;
let lastMilliseconds = 0;
let counter = 0;

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in its canonical lower-case form. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

function hex(value: number): string {
  return HEX[value & 0xff] as string;
}

/**
 * A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then a 12-bit counter that keeps the
 * ids of one process in the order of their making, then 62 random bits.
 */
export function newUuidV7(): string {
  const now = Date.now();
  if (now > lastMilliseconds) {
    lastMilliseconds = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    // More than 4,096 in a millisecond, or the clock went back: borrow from the next millisecond.
    lastMilliseconds += 1;
    counter = 0;
  }
  if (poolOffset + 8 > POOL_SIZE) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  const random = (index: number): number => pool[poolOffset + index] as number;
  const high = Math.floor(lastMilliseconds / 0x1_0000_0000);
  const low = lastMilliseconds >>> 0;
  const text =
    `${hex(high >>> 8)}${hex(high)}${hex(low >>> 24)}${hex(low >>> 16)}-${hex(low >>> 8)}${hex(low)}-` +
    `${hex(0x70 | (counter >>> 8))}${hex(counter)}-${hex(0x80 | (random(0) & 0x3f))}${hex(random(1))}-` +
    `${hex(random(2))}${hex(random(3))}${hex(random(4))}${hex(random(5))}${hex(random(6))}${hex(random(7))}`;
  poolOffset += 8;
  return text;
}

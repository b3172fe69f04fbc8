import { isIPv6 } from "node:net";

const GROUPS_OF_64_BITS = 4;
const GROUPS = 8;

/**
 * What one host or household holds: an IPv4 address, also one that is written as IPv6 (`::ffff:192.0.2.1`), or the /64 of an
 * IPv6 address. Other text stays as it is.
 */
export function addressGroup(address: string): string {
  const bare = address.split("%", 1)[0] ?? "";
  if (!isIPv6(bare)) {
    return bare;
  }
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) {
    return mapped;
  }
  const [head = "", tail] = bare.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, GROUPS - front.length - back.length);
  const groups = [...front, ...Array<string>(zeros).fill("0"), ...back];
  const prefix = groups.slice(0, GROUPS_OF_64_BITS).map((group) => Number.parseInt(group, 16).toString(16));
  return `${prefix.join(":")}::/64`;
}

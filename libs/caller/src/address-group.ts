import { isIPv6 } from "node:net";

/** The 16-bit groups of an IPv6 address that name a network. */
const NETWORK_GROUPS = 4;

/**
 * What one household holds of addresses: an IPv4 address, also one written as IPv6, or the /64 of an IPv6 address, within
 * which a device changes its address daily. Other text stays as it is.
 */
export function addressGroup(address: string): string {
  const bare = address.replace(/%.*$/, "");
  if (!isIPv6(bare)) return bare;
  // A URL spells every address the one way of RFC 5952.
  const [head = "", tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  const [high = "0", low = "0"] = groups.slice(-2);
  if (groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff") {
    const bits = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
    return bits.flatMap((pair) => [pair >> 8, pair & 0xff]).join(".");
  }
  return `${groups.slice(0, NETWORK_GROUPS).join(":")}::/64`;
}

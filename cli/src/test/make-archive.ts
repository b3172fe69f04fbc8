import { crc32, deflateRawSync } from "node:zlib";
import { Header, type HeaderData } from "tar";

/** An entry of an archive of a test, as an author or an attacker would write it. */
export interface ZipEntry {
  name: string;
  content?: Uint8Array | string;
  /** The Unix mode with its type; undefined: made elsewhere. */
  mode?: number;
  /** Bits of the general purpose flag: 1 is encrypted. */
  flag?: number;
  method?: 0 | 8 | 99;
  /** What the archive says where it lies. */
  said?: { size?: number; crc?: number };
  /** The packed content, where it was made before. */
  packed?: Buffer;
}

/** A zip archive of the entries, in their order. */
export function makeZip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content = "", mode, flag = 0, method = 8, said = {}, packed } of entries) {
    const data = Buffer.from(content);
    const body = packed ?? (method === 8 ? deflateRawSync(data) : data);
    const fileName = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flag, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(said.crc ?? crc32(data), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(said.size ?? data.length, 18);
    common.writeUInt16LE(fileName.length, 22);
    const local = Buffer.concat([Buffer.from("PK\u0003\u0004"), common, fileName, body]);
    const central = Buffer.alloc(46);
    central.write("PK\u0001\u0002");
    central.writeUInt16LE(mode === undefined ? 20 : (3 << 8) | 20, 4);
    common.copy(central, 6);
    central.writeUInt32LE(((mode ?? 0) << 16) >>> 0, 38);
    central.writeUInt32LE(offset, 42);
    directory.push(Buffer.concat([central, fileName]));
    parts.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\u0005\u0006");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

/** A tar archive of the entries, in their order. */
export function makeTar(entries: readonly (HeaderData & { path: string; content?: string | Buffer })[]): Buffer {
  const parts = entries.flatMap(({ content = "", ...header }) => {
    const data = Buffer.from(content);
    const block = Buffer.alloc(512);
    new Header({ type: "File", mode: 0o644, size: data.length, ...header }).encode(block, 0);
    return [block, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

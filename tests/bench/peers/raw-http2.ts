/**
 * The floor: a raw HTTP/2 server with gRPC's five-byte frames and our codec, no framework. Run as a child
 * process; prints `PORT n`. `/ingest` decodes batches and counts their entries, `/echo` sends each frame back.
 */
import { createServer } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { BatchSchema } from "@openhermit/protocol/mesh/v1/link_service";

const server = createServer({ settings: { maxConcurrentStreams: 1000 } });
server.on("stream", (stream, headers) => {
  stream.respond({ ":status": 200 });
  if (headers[":path"] === "/echo") {
    stream.pipe(stream);
    return;
  }
  let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  let entries = 0;
  stream.on("data", (chunk: Buffer) => {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let offset = 0;
    while (bytes.length - offset >= 5) {
      const length = bytes.readUInt32BE(offset + 1);
      if (bytes.length - offset - 5 < length) break;
      entries += fromBinary(BatchSchema, bytes.subarray(offset + 5, offset + 5 + length)).entries.length;
      offset += 5 + length;
    }
    rest = bytes.subarray(offset);
  });
  stream.on("end", () => stream.end(String(entries)));
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`PORT ${address.port}`);
});
process.on("disconnect", () => process.exit(0));

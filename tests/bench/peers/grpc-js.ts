/** The peer: a grpc-js server with our codec. Run as a child process; prints `PORT n`. */
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  PublishRequestSchema,
  PublishResponseSchema,
  type PublishRequest,
  type PublishResponse,
} from "@openhermit/protocol/mesh/v1/link_service";

const server = new Server({ "grpc.max_concurrent_streams": 1000 });
server.addService(
  {
    publish: {
      path: "/openhermit.mesh.v1.LinkService/Publish",
      requestStream: true,
      responseStream: true,
      requestSerialize: (message: PublishRequest) => Buffer.from(toBinary(PublishRequestSchema, message)),
      requestDeserialize: (bytes: Buffer) => fromBinary(PublishRequestSchema, bytes),
      responseSerialize: (message: PublishResponse) => Buffer.from(toBinary(PublishResponseSchema, message)),
      responseDeserialize: (bytes: Buffer) => fromBinary(PublishResponseSchema, bytes),
    },
  },
  {
    publish(call: ServerDuplexStream<PublishRequest, PublishResponse>) {
      let sequence = 0n;
      call.on("data", (request: PublishRequest) => {
        if (request.message.case === "batch") sequence += BigInt(request.message.value.entries.length);
      });
      call.on("end", () => {
        call.write(create(PublishResponseSchema, { message: { case: "acknowledged", value: { sequence } } }));
        call.end();
      });
    },
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`PORT ${port}`);
});
process.on("disconnect", () => process.exit(0));

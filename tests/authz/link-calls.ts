import { randomUUID } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  LinkService,
  type AttachRequestSchema,
  type PublishRequestSchema,
} from "@openhermit/protocol/mesh/v1/link_service";

type AttachRequest = MessageInitShape<typeof AttachRequestSchema>;

/** A stream up: what was sent first, then what is sent later, until the end. */
function upstream<Message>(first: Message) {
  let later: ((message: Message | undefined) => void) | undefined;
  async function* messages() {
    yield first;
    while (true) {
      const { promise, resolve } = Promise.withResolvers<Message | undefined>();
      later = resolve;
      const message = await promise;
      if (message === undefined) {
        return;
      }
      yield message;
    }
  }
  return { messages: messages(), send: (message: Message) => later?.(message), end: () => later?.(undefined) };
}

const hello = (): AttachRequest => ({
  message: {
    case: "hello",
    value: { instanceId: randomUUID(), host: "test", version: "0", ledgerId: randomUUID() },
  },
});

/** Attaches and says that agent `one` is well; goes well once the gateway has taken a further message after that. */
export async function attachClaimingAgentOne(transport: Transport): Promise<void> {
  const up = upstream(hello());
  for await (const { message } of createClient(LinkService, transport).attach(up.messages)) {
    if (message.case === "welcome") {
      up.send({ message: { case: "healthReport", value: { agentId: "one", components: [] } } });
    } else if (message.case === "snapshot") {
      // The report went up before this request; its answer comes after the report was judged.
      up.send({ message: { case: "transcriptRequest", value: { sessionId: "none" } } });
    } else if (message.case === "transcriptPage") {
      up.end();
      return;
    }
  }
  throw new Error("the stream ended without an error");
}

/** Attaches and publishes an event of agent `one`; goes well when it is acknowledged. */
export async function publishClaimingAgentOne(transport: Transport): Promise<void> {
  const client = createClient(LinkService, transport);
  const attach = upstream(hello());
  const attached = client.attach(attach.messages)[Symbol.asyncIterator]();
  try {
    const first = await attached.next();
    const welcome = first.done === true ? undefined : first.value.message;
    if (welcome?.case !== "welcome") {
      throw new Error("no welcome");
    }
    const open: MessageInitShape<typeof PublishRequestSchema> = {
      message: { case: "open", value: { epoch: welcome.value.epoch } },
    };
    const publish = upstream(open);
    for await (const { message } of client.publish(publish.messages)) {
      if (message.case === "opened") {
        const failure = { source: "runtime", reason: "TEST", message: "for the test" };
        const event = { id: randomUUID(), agentId: "one", detail: { case: "failure" as const, value: failure } };
        publish.send({
          message: {
            case: "batch",
            value: { entries: [{ sequence: message.value.cursor + 1n, body: { case: "event", value: event } }] },
          },
        });
      } else if (message.case === "acknowledged") {
        publish.end();
        return;
      }
    }
    throw new Error("the stream ended without an acknowledgement");
  } finally {
    attach.end();
    await attached.return?.();
  }
}

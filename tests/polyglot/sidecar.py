#!/usr/bin/env python3
"""A sidecar that shares no code with ours, to prove the mesh contract.

sidecar.py HOST:PORT JOIN_TOKEN_FILE: joins, attaches, answers each message with its text in capitals.
It keeps its outbox in memory and ends when the gateway drains it.
"""

import pathlib
import queue
import socket
import sys
import threading
import uuid

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openhermit.activity.v1 import event_pb2
from openhermit.health.v1 import health_pb2
from openhermit.mesh.v1 import enrollment_service_pb2, enrollment_service_pb2_grpc
from openhermit.mesh.v1 import link_service_pb2, link_service_pb2_grpc, outbox_pb2
from openhermit.sessions.v1 import session_pb2


class Stream:
    """What goes up a stream: a queue that gRPC reads."""

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, message):
        self._queue.put(message)

    def close(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


class Outbox:
    """Numbers the durable entries, sends them, and remembers what is acknowledged."""

    def __init__(self, stream):
        self._stream = stream
        self._sequence = 0

    def write(self, *entries):
        batch = link_service_pb2.Batch()
        for entry in entries:
            self._sequence += 1
            entry.sequence = self._sequence
            batch.entries.append(entry)
        self._stream.send(link_service_pb2.PublishRequest(batch=batch))

    def show(self, ephemeral):
        self._stream.send(
            link_service_pb2.PublishRequest(ephemeral=link_service_pb2.EphemeralBatch(items=[ephemeral]))
        )


def key_proof(key, nonce, purpose):
    payload = f"openhermit-mesh-v1\n{purpose}\n{nonce}".encode()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return enrollment_service_pb2.KeyProof(public_key=public, nonce=nonce, signature=key.sign(payload))


def event(turn, **detail):
    made = event_pb2.Event(
        id=str(uuid.uuid4()),
        agent_id=turn.agent_id,
        session_id=turn.session_id,
        turn_id=turn.turn_id,
        user_id=turn.user_id,
        channel=turn.channel,
        **detail,
    )
    made.time.GetCurrentTime()
    return outbox_pb2.OutboxEntry(event=made)


def transcript(turn, position, **said):
    entry = session_pb2.TranscriptEntry(
        session_id=turn.session_id, turn_id=turn.turn_id, position=position, **said
    )
    entry.time.GetCurrentTime()
    return outbox_pb2.OutboxEntry(transcript_entry=entry)


def change(turn, state, **fields):
    changed = outbox_pb2.TurnChange(turn_id=turn.turn_id, attempt=turn.attempt, state=state, **fields)
    changed.time.GetCurrentTime()
    return outbox_pb2.OutboxEntry(turn_change=changed)


def run_turn(turn, outbox):
    """Answers one message: shows the text as a delta, then writes the record."""
    answer = turn.message.upper()
    usage = session_pb2.Usage(input_tokens=len(turn.message), output_tokens=len(answer), model_calls=1)
    head = turn.transcript_head
    outbox.write(
        change(turn, session_pb2.TURN_STATE_RUNNING),
        event(turn, message_in=event_pb2.MessageIn(text=turn.message)),
        transcript(turn, head + 1, user_message=session_pb2.UserMessage(text=turn.message)),
    )
    outbox.show(
        outbox_pb2.Ephemeral(
            turn_id=turn.turn_id, attempt=turn.attempt, text_delta=session_pb2.TextDelta(step=1, text=answer)
        )
    )
    outbox.write(
        transcript(turn, head + 2, assistant_message=session_pb2.AssistantMessage(step=1, text=answer)),
        event(turn, message_out=event_pb2.MessageOut(text=answer)),
        event(turn, turn_end=event_pb2.TurnEnd(state=session_pb2.TURN_STATE_SUCCEEDED, usage=usage)),
        change(turn, session_pb2.TURN_STATE_SUCCEEDED, answer=answer, usage=usage),
    )


def main():
    target, token_file = sys.argv[1:3]
    channel = grpc.insecure_channel(target)
    enrollment = enrollment_service_pb2_grpc.EnrollmentServiceStub(channel)
    link = link_service_pb2_grpc.LinkServiceStub(channel)

    key = Ed25519PrivateKey.generate()
    nonce = enrollment.GetNonce(enrollment_service_pb2.GetNonceRequest()).nonce
    joined = enrollment.Join(
        enrollment_service_pb2.JoinRequest(
            join_token=pathlib.Path(token_file).read_text().strip(), proof=key_proof(key, nonce, "join")
        )
    )
    nonce = enrollment.GetNonce(enrollment_service_pb2.GetNonceRequest()).nonce
    issued = enrollment.IssueToken(
        enrollment_service_pb2.IssueTokenRequest(proof=key_proof(key, nonce, "token"))
    )
    metadata = (("authorization", f"Bearer {issued.access_token}"),)
    print(f"joined as {joined.sidecar_id}", flush=True)

    up, publish = Stream(), Stream()
    up.send(
        link_service_pb2.AttachRequest(
            hello=link_service_pb2.Hello(
                instance_id=str(uuid.uuid4()),
                host=socket.gethostname(),
                version="python-0.1.0",
                ledger_id=str(uuid.uuid4()),
            )
        )
    )
    outbox = Outbox(publish)

    def follow_acknowledgements(responses):
        try:
            for response in responses:
                if response.WhichOneof("message") == "acknowledged":
                    print(f"acknowledged {response.acknowledged.sequence}", flush=True)
        except grpc.RpcError as error:
            print(f"publish ended: {error.code().name}", flush=True)

    for response in link.Attach(iter(up), metadata=metadata):
        kind = response.WhichOneof("message")
        if kind == "welcome":
            publish.send(
                link_service_pb2.PublishRequest(open=link_service_pb2.PublishOpen(epoch=response.welcome.epoch))
            )
            responses = link.Publish(iter(publish), metadata=metadata)
            threading.Thread(target=follow_acknowledgements, args=(responses,), daemon=True).start()
        elif kind == "snapshot":
            snapshot = response.snapshot
            up.send(
                link_service_pb2.AttachRequest(
                    applied=link_service_pb2.Applied(agent_id=snapshot.agent_id, generation=snapshot.generation)
                )
            )
            up.send(
                link_service_pb2.AttachRequest(
                    health_report=link_service_pb2.HealthReport(
                        agent_id=snapshot.agent_id,
                        components=[
                            health_pb2.ComponentHealth(name="model", state=health_pb2.HEALTH_STATE_OK)
                        ],
                    )
                )
            )
            print(f"applied {snapshot.agent_id}", flush=True)
        elif kind == "run_turn":
            turn = response.run_turn
            up.send(
                link_service_pb2.AttachRequest(
                    turn_accepted=link_service_pb2.TurnAccepted(turn_id=turn.turn_id, attempt=turn.attempt)
                )
            )
            run_turn(turn, outbox)
        elif kind == "ping":
            up.send(link_service_pb2.AttachRequest(pong=link_service_pb2.Pong(id=response.ping.id)))
        elif kind == "drain":
            break
    publish.close()
    up.close()
    print("drained", flush=True)


if __name__ == "__main__":
    main()

"""A small client of an OpenHermit Mesh gateway over the generated gRPC stubs.

It shows the three things most programs want: list the agents, send a message and read the answer as it comes, and
follow what the agents do. Everything else is there too: the stubs hold every service.
"""

import pathlib
import sys
import uuid

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gen"))

from openhermit.activity.v1 import activity_service_pb2, activity_service_pb2_grpc  # noqa: E402
from openhermit.common.v1 import error_pb2  # noqa: E402
from openhermit.fleet.v1 import fleet_service_pb2, fleet_service_pb2_grpc  # noqa: E402
from openhermit.sessions.v1 import session_pb2, session_service_pb2, session_service_pb2_grpc  # noqa: E402

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
ENDED = (
    session_pb2.TURN_STATE_SUCCEEDED,
    session_pb2.TURN_STATE_FAILED,
    session_pb2.TURN_STATE_CANCELLED,
    session_pb2.TURN_STATE_INTERRUPTED,
)


class Gateway:
    """A connection to one gateway. `target` is host:port, `token` the content of <home>/operator-token."""

    def __init__(self, target, token):
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        self._fleet = fleet_service_pb2_grpc.FleetServiceStub(self._channel)
        self._sessions = session_service_pb2_grpc.SessionServiceStub(self._channel)
        self._activity = activity_service_pb2_grpc.ActivityServiceStub(self._channel)

    def close(self):
        """Ends the connection."""
        self._channel.close()

    def agents(self):
        """Yields every agent, page by page."""
        token = ""
        while True:
            page = self._fleet.ListAgents(
                fleet_service_pb2.ListAgentsRequest(page_token=token), metadata=self._metadata, timeout=30
            )
            yield from page.agents
            token = page.next_page_token
            if not token:
                return

    def send(self, agent_id, message, session_id=None):
        """Sends a message and yields the events of its turn; the last one carries the ended turn.

        The request id makes the call safe to repeat: if the connection breaks, the same turn is joined again.
        """
        request = session_service_pb2.SendMessageRequest(
            agent_id=agent_id, message=message, request_id=str(uuid.uuid4())
        )
        if session_id is not None:
            request.session_id = session_id
        for attempt in range(5):
            try:
                for response in self._sessions.SendMessage(request, metadata=self._metadata):
                    yield response.event
                    if response.event.WhichOneof("event") == "turn" and response.event.turn.state in ENDED:
                        return
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or attempt == 4:
                    raise

    def tail(self, agent_id="", last=0):
        """Yields activity: the `last` newest events, then what comes."""
        request = activity_service_pb2.TailEventsRequest(last=last)
        request.filter.agent_id = agent_id
        for response in self._activity.TailEvents(request, metadata=self._metadata):
            yield from response.events


def detail_of(error):
    """The ErrorDetail of a failed call, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            from google.rpc import status_pb2

            for any_detail in status_pb2.Status.FromString(value).details:
                detail = error_pb2.ErrorDetail()
                if any_detail.Unpack(detail):
                    return detail
    return None

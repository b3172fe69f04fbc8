#!/usr/bin/env python3
"""example.py HOST:PORT TOKEN_FILE AGENT MESSAGE: lists the agents, sends a message, prints what happened."""

import pathlib
import sys

from openhermit_client import Gateway


def main():
    target, token_file, agent_id, message = sys.argv[1:5]
    gateway = Gateway(target, pathlib.Path(token_file).read_text().strip())

    print("agents:", ", ".join(f"{agent.id} ({agent.spec.model})" for agent in gateway.agents()))

    turn = None
    for event in gateway.send(agent_id, message):
        kind = event.WhichOneof("event")
        if kind == "text_delta":
            print(event.text_delta.text, end="", flush=True)
        elif kind == "tool_call":
            print(f"\n[calls {event.tool_call.name}]")
        elif kind == "turn":
            turn = event.turn
    print(f"\nturn {turn.id} ended: {turn.answer or turn.error.message}")

    print("activity:")
    seen = 0
    for logged in gateway.tail(agent_id, last=100):
        event = logged.event
        if event.turn_id != turn.id:
            continue
        seen += 1
        print(f"  {event.time.ToDatetime().isoformat()} {event.WhichOneof('detail')}")
        if event.WhichOneof("detail") == "turn_end":
            break
    gateway.close()
    return 0 if seen > 0 else 1


if __name__ == "__main__":
    sys.exit(main())

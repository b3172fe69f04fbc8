import { expect, test } from "vitest";

import { metricsInReach } from "./metrics-filter.ts";

const reach = (...ids: string[]) => ({ all: false, has: () => true, ids: () => ids });

test("lines about agents out of reach are left out, all others stay", () => {
  const kept = [
    '# HELP turns Turns, agent_id="two"',
    "links 1",
    'rpc{method="a.B/C",code="ok"} 3',
    'turns{agent_id="one",state="ok"} 1',
    'turns{agent="one"} 1',
    'odd{detail="x,agent_id=\\"two\\""} 1',
    'odd{detail="}{",agent_id="one"} 1',
    'other_agent_id{my_agent_id="two"} 1',
  ];
  const dropped = [
    'turns{agent_id="two",state="ok"} 2',
    'turns{state="ok",agent_id="one2"} 2',
    'turns{agent="other"} 9',
    'odd{detail="\\\\",agent_id="two"} 1',
    'odd{detail="}",agent_id="two"} 1',
  ];
  const text = [...kept, ...dropped].toSorted().join("\n");
  expect(metricsInReach(text, reach("one"))).toBe(kept.toSorted().join("\n"));
  expect(metricsInReach(text, { ...reach(), all: true })).toBe(text);
});

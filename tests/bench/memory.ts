import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { startFleet } from "../fixture/running-fleet.ts";
import { memoryMb, median } from "./measure.ts";
import type { Measurement } from "./report.ts";

const LEAN_FLEET = `
agents:
  one: { model: offline/echo }
  two: { model: offline/echo }
  three: { model: offline/echo }
`;

/** Goal 9, the sizes of the processes: a lean sidecar against a bare Node of the same run. */
export async function benchMemory(repeats: number): Promise<Measurement[]> {
  const bare: number[] = [];
  const lean: number[] = [];
  const used: number[] = [];
  const gateway: number[] = [];
  for (let round = 0; round < Math.min(repeats, 3); round++) {
    const node = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const fleet = await startFleet({ manifest: LEAN_FLEET });
    try {
      await pause(3000);
      bare.push(memoryMb(node.pid ?? 0).rss);
      for (const agent of ["one", "two", "three"]) lean.push(memoryMb(fleet.sidecarPid(agent)).rss);
      await fleet.hermit(["chat", "one", "hello"]);
      await pause(500);
      used.push(memoryMb(fleet.sidecarPid("one")).rss);
      gateway.push(memoryMb(fleet.gatewayPid()).rss);
    } finally {
      await fleet.dispose();
      node.kill();
    }
  }
  const floor = median(bare);
  return [
    { goal: 9, name: "bare Node, resident", value: floor, unit: "MB", note: "the floor" },
    {
      goal: 9,
      name: "lean sidecar, attached and idle, against bare Node",
      value: median(lean) / floor,
      unit: "x",
      bound: { kind: "at most", value: 1.6 },
      note: `${median(lean).toFixed(0)} MB resident`,
    },
    {
      goal: 0,
      name: "sidecar after its first turn, resident",
      value: median(used),
      unit: "MB",
      note: "offline/echo, no MCP",
    },
    { goal: 0, name: "gateway with three sidecars, resident", value: median(gateway), unit: "MB" },
  ];
}

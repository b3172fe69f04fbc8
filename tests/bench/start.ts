import { rmSync } from "node:fs";
import { startFleet } from "../fixture/running-fleet.ts";
import { median } from "./measure.ts";
import type { Measurement } from "./report.ts";

/** How long `hermit up` takes from the start of its process to its screen, with the three agents of the example. */
export async function benchStart(repeats: number): Promise<Measurement[]> {
  const first: number[] = [];
  const again: number[] = [];
  let screen = "";
  for (let round = 0; round < repeats; round++) {
    const begin = performance.now();
    const fleet = await startFleet({ args: ["--verbose"] });
    first.push((performance.now() - begin) / 1000);
    screen = fleet.screen();
    await fleet.stop();
    const second = performance.now();
    await fleet.startAgain();
    again.push((performance.now() - second) / 1000);
    await fleet.dispose();
    rmSync(fleet.home, { recursive: true, force: true });
  }
  console.error(screen);
  return [
    {
      goal: 0,
      name: "npm start on installed dependencies, new home, three agents ready",
      value: median(first),
      unit: "s",
      bound: { kind: "at most", value: 3 },
      note: "creates the database; warm compile cache",
    },
    { goal: 0, name: "the same on a home that exists", value: median(again), unit: "s", note: "warm compile cache" },
  ];
}

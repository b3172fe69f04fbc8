import { afterEach, expect, test, vi } from "vitest";
import { createPeriodicTask, type PeriodicTask } from "./periodic-task.ts";

const started: PeriodicTask[] = [];
afterEach(async () => {
  for (const task of started.splice(0)) await task.stop();
});

function start(
  run: (signal: AbortSignal) => Promise<void>,
  periodMs = 3_600_000,
  onError: (error: unknown) => void = () => {},
): PeriodicTask {
  const task = createPeriodicTask({ name: "test", periodMs, run, onError });
  started.push(task);
  return task;
}

test("runs at once, on its period, and when poked; runs never overlap", async () => {
  let runs = 0;
  let active = 0;
  let most = 0;
  const task = start(async () => {
    active += 1;
    most = Math.max(most, active);
    runs += 1;
    await new Promise((resolve) => setTimeout(resolve, 2));
    active -= 1;
  }, 5);
  await vi.waitFor(() => expect(runs).toBeGreaterThan(2));
  for (let i = 0; i < 50; i++) task.poke();
  await task.runNow();
  expect(most).toBe(1);
});

test("a poke during a run causes a run that began after the poke", async () => {
  let value = 0;
  let seen = -1;
  let release: (() => void) | undefined;
  const task = start(async () => {
    seen = value;
    if (value === 0) await new Promise<void>((resolve) => (release = resolve));
  });
  await vi.waitFor(() => expect(seen).toBe(0));
  value = 1;
  const done = task.runNow();
  release?.();
  await done;
  expect(seen).toBe(1);
});

test("a failed run is told, rejects its waiter, and is tried again", async () => {
  let runs = 0;
  const errors: unknown[] = [];
  const task = start(
    async () => {
      runs += 1;
      if (runs === 1) throw new Error("first");
    },
    3_600_000,
    (error) => errors.push(error),
  );
  await expect(task.runNow()).rejects.toThrow("first");
  await vi.waitFor(() => expect(runs).toBe(2));
  expect(errors).toHaveLength(1);
});

test("stop waits for the run and rejects who still waits", async () => {
  let ended = false;
  const task = start(async (signal) => {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => setTimeout(resolve, 5)));
    ended = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const waiting = task.runNow().catch((error: unknown) => error);
  await task.stop();
  expect(String(await waiting)).toContain("stopped");
  expect(ended).toBe(true);
});

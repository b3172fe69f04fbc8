import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{libs,services}/*/src/**/*.test.ts", "{gateway,sidecar,cli}/src/**/*.test.ts", "tests/**/*.test.ts"],
    globalSetup: ["libs/testing/src/global-setup.ts"],
    // Tests wait for processes, leases and databases more than they compute: two at a time also on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // A machine that does much else may hold a test up once; the report names each that passed only when repeated, to be mended.
    retry: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

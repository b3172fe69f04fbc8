import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{libs,services}/*/src/**/*.test.ts", "{gateway,sidecar,cli}/src/**/*.test.ts", "tests/**/*.test.ts"],
    globalSetup: ["libs/testing/src/global-setup.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

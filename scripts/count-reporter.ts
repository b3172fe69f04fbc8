import type { Reporter, TestModule } from "vitest/node";

/** Ends a test run with one line that a machine can read: `N passed, N failed`. Names the tests that passed only when repeated. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    let skipped = 0;
    const repeated: string[] = [];
    for (const module of modules) {
      if (module.errors().length > 0) failed += 1;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") passed += 1;
        else if (state === "failed") failed += 1;
        else skipped += 1;
        if (test.diagnostic()?.flaky === true) repeated.push(`${module.relativeModuleId} > ${test.fullName}`);
      }
    }
    for (const name of repeated) process.stdout.write(`\npassed only when repeated: ${name}`);
    const rest = skipped > 0 ? `, ${skipped} skipped` : "";
    process.stdout.write(`\n${passed} passed, ${failed} failed${rest}\n`);
  }
}

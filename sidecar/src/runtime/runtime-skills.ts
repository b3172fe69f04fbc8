import { MeshError } from "@openhermit/errors";
import { HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { SnapshotSkill } from "@openhermit/protocol/mesh/v1/snapshot";

import { createComponentRecord, type ComponentRecord } from "../health/component-record.ts";
import type { BundleCache } from "../skills/bundle-cache.ts";
import { hasMountRecord } from "../skills/mount-record.ts";
import type { AgentSkills } from "../skills/open-skills.ts";

/** The skills of a runtime. What deals with them is loaded with the first one. */
export interface RuntimeSkills {
  /** Those in force; undefined when there are none. */
  readonly current: AgentSkills | undefined;
  /**
   * Fetches and mounts what a snapshot names and puts it in force; turns that hold the ones before keep them. Rejects with a MeshError
   * and leaves the ones before in force when that can't be done, and with the signal's reason after an abort.
   */
  apply(skills: readonly SnapshotSkill[], signal: AbortSignal): Promise<void>;
  /** The component `skills`; none for an agent that has no skills. */
  health(): ComponentHealth[];
  /** Lets go of them. */
  close(): void;
}

/** What it needs. */
export interface RuntimeSkillsOptions {
  agentId: string;
  workspace: string;
  /** The bundles of the sidecar; asked for with the first skill. */
  bundles: () => Promise<BundleCache>;
  onHealthChanged: () => void;
}

/** Makes the skills of an agent, without any. */
export function createRuntimeSkills(options: RuntimeSkillsOptions): RuntimeSkills {
  const { agentId, workspace, bundles, onHealthChanged } = options;
  let current: AgentSkills | undefined;
  let record: ComponentRecord | undefined;

  const report = (state: HealthState, problem: string): void => {
    if (record !== undefined) return record.set({ state, detail: problem, error: problem });
    record = createComponentRecord("skills", { state, detail: problem, error: problem }, onHealthChanged);
    onHealthChanged();
  };
  const open = async (skills: readonly SnapshotSkill[], signal: AbortSignal): Promise<AgentSkills | undefined> => {
    // What an agent had once is still to be taken away.
    if (skills.length === 0 && !hasMountRecord(workspace)) return undefined;
    const { openSkills } = await import("../skills/open-skills.ts");
    return openSkills({ agentId, workspace, skills, bundles: await bundles(), signal });
  };

  return {
    get current() {
      return current;
    },
    async apply(skills, signal) {
      let opened: AgentSkills | undefined;
      try {
        opened = await open(skills, signal);
      } catch (error) {
        signal.throwIfAborted();
        // The snapshot before stays in force: the agent works, with the skills it had.
        if (error instanceof MeshError) report(HealthState.DEGRADED, error.message);
        throw error;
      }
      current?.release();
      current = opened;
      if (opened !== undefined) report(HealthState.OK, "");
      else if (record !== undefined) {
        record = undefined;
        onHealthChanged();
      }
    },
    health: () => (record === undefined ? [] : [record.component]),
    close() {
      current?.release();
      current = undefined;
    },
  };
}

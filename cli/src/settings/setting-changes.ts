import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ValueSource, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { FieldChangeSchema, type FieldChange } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Setting } from "./setting.ts";

const ATTEMPTS = 4;

/** Does a change that reads first, again when somebody else was faster. */
export async function withRetries<Done>(change: () => Promise<Done>): Promise<Done> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof ConnectError && error.code === Code.Aborted) || attempt === ATTEMPTS) throw error;
    }
  }
}

/** What changed, as a plan says it. */
export function changesOf(settings: readonly Setting[], before: Agent, after: Agent): FieldChange[] {
  return settings.flatMap((setting) => {
    const [old, now] = [shownValue(setting, before), shownValue(setting, after)];
    return old === now ? [] : [create(FieldChangeSchema, { path: setting.key, before: old, after: now })];
  });
}

/** The agent's own value, or the one it runs with and where that comes from; empty when there is none. */
export function shownValue(setting: Setting, agent: Agent): string {
  const own = setting.read(agent);
  if (own !== "" || agent.effectiveSpec === undefined || !setting.path.startsWith("spec.")) return own;
  const inherited = setting.read({ ...agent, spec: agent.effectiveSpec });
  return inherited === "" ? "" : `${inherited} (${sourceWord(agent.sources[setting.key])})`;
}

/** Where a value comes from, in a word. */
export function sourceWord(source: ValueSource | undefined): string {
  switch (source) {
    case ValueSource.AGENT:
      return "agent";
    case ValueSource.DEFAULTS:
      return "defaults";
    case ValueSource.BUILTIN:
      return "built in";
    case ValueSource.UNSPECIFIED:
    case undefined:
      return "";
    default:
      return `unknown (${String(source)})`;
  }
}

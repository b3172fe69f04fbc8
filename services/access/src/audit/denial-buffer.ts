import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Denial } from "../access-ports.ts";

/** Denied attempts that wait to be stored as one record. */
export interface HeldDenials {
  readonly denial: Denial;
  /** How many, since `time`. */
  readonly count: number;
  readonly time: Date;
}

/** Merges alike denied attempts, within bounds, and says when they are to be stored. */
export interface DenialBuffer {
  /** Takes an attempt; what is in it is short and harmless. */
  add(denial: Denial, now: Date): void;
  /**
   * What is to be stored now: the first of its kind at once, those after it a minute later in one.
   *
   * @param all also what could wait.
   */
  take(now: Date, all?: boolean): HeldDenials[];
  /** What could not be stored: comes again with the next {@link take}. */
  giveBack(held: readonly HeldDenials[]): void;
}

/** Within what time alike attempts are one record, in milliseconds. */
const WINDOW_MS = 60_000;
/** The most kinds that are told apart at a time. */
const MAX_KINDS = 1000;
/** The most kinds of one actor at one address whose targets are told apart: who probes ids hides nobody else's attempts. */
const MAX_TARGETS = 100;

/** What stands for the attempts that did not fit. */
const OVERFLOW: Denial = {
  actor: {
    subject: { kind: SubjectKind.SYSTEM, id: "" },
    onBehalfOf: undefined,
    accessor: "",
    requestId: "",
    address: "",
  },
  action: "audit.overflow",
  targetType: "",
  targetId: "",
  reason: "TOO_MANY_KINDS",
};

interface Kind {
  readonly source: string;
  denial: Denial;
  /** Not stored yet. */
  count: number;
  /** Of the first that is not stored yet. */
  time: Date;
  /** When it is to be stored next, in milliseconds; when nothing came until then, it is forgotten. */
  dueMs: number;
}

/** Makes a buffer that holds nothing. */
export function createDenialBuffer({ maxKinds = MAX_KINDS, maxTargets = MAX_TARGETS } = {}): DenialBuffer {
  const kinds = new Map<string, Kind>();
  const targetsOf = new Map<string, number>();

  const put = (denial: Denial, count: number, time: Date): void => {
    const key = keyOf(denial);
    const known = kinds.get(key);
    if (known === undefined) {
      const source = sourceOf(denial);
      kinds.set(key, { source, denial, count, time, dueMs: 0 });
      targetsOf.set(source, (targetsOf.get(source) ?? 0) + 1);
      return;
    }
    if (known.count === 0 || time < known.time) {
      known.denial = denial;
      known.time = time;
    }
    known.count += count;
  };

  /** The same denial, or one that tells less, for which there is room. */
  const fit = (denial: Denial): Denial => {
    if (kinds.has(keyOf(denial))) return denial;
    const full = kinds.size >= maxKinds;
    if (!full && (targetsOf.get(sourceOf(denial)) ?? 0) < maxTargets) return denial;
    const coarse = { ...denial, targetType: "", targetId: "" };
    return !full || kinds.has(keyOf(coarse)) ? coarse : OVERFLOW;
  };

  const forget = (key: string, { source }: Kind): void => {
    kinds.delete(key);
    const left = (targetsOf.get(source) ?? 1) - 1;
    if (left === 0) targetsOf.delete(source);
    else targetsOf.set(source, left);
  };

  return {
    add: (denial, now) => put(fit(denial), 1, now),
    take(now, all = false) {
      const held: HeldDenials[] = [];
      for (const [key, kind] of kinds) {
        if (kind.dueMs > now.getTime() && !all) continue;
        if (kind.count === 0) {
          forget(key, kind);
          continue;
        }
        held.push({ denial: kind.denial, count: kind.count, time: kind.time });
        kind.count = 0;
        kind.dueMs = now.getTime() + WINDOW_MS;
      }
      return held;
    },
    giveBack(held) {
      for (const { denial, count, time } of held) {
        put(denial, count, time);
        const kind = kinds.get(keyOf(denial));
        if (kind !== undefined) kind.dueMs = 0;
      }
    },
  };
}

function sourceOf({ actor }: Denial): string {
  const { subject, onBehalfOf, accessor, address } = actor;
  return JSON.stringify([subject.kind, subject.id, onBehalfOf?.kind, onBehalfOf?.id, accessor, address]);
}

function keyOf(denial: Denial): string {
  const { action, targetType, targetId, reason } = denial;
  return JSON.stringify([sourceOf(denial), action, targetType, targetId, reason]);
}

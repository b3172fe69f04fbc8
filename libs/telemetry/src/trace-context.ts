import { randomFillSync } from "node:crypto";

/** Where a piece of work stands in a trace, as W3C Trace Context names it. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all zero. */
  readonly spanId: string;
  /** Whether the trace is being recorded. */
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = "0".repeat(32);
const NO_SPAN = "0".repeat(16);

/** Starts a trace. It counts as sampled, so that whoever records further down does so. */
export function newTraceContext(): TraceContext {
  return { traceId: randomHex(16), spanId: randomHex(8), sampled: true };
}

/** The context of a `traceparent` header; undefined for none and for one that is malformed (W3C Trace Context, 3.2). */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const match = header === undefined ? null : TRACEPARENT.exec(header.trim());
  if (match === null) {
    return undefined;
  }
  const [, version, traceId, spanId, flags, rest] = match;
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) {
    return undefined;
  }
  // Version 00 has exactly four fields; a later one may have more; ff is forbidden.
  if (version === "ff" || (version === "00" && rest !== undefined) || traceId === NO_TRACE || spanId === NO_SPAN) {
    return undefined;
  }
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` header of a context. */
export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}

/** A new span of the same trace. */
export function childOf(context: TraceContext): TraceContext {
  return { traceId: context.traceId, spanId: randomHex(8), sampled: context.sampled };
}

// Random bytes are drawn from the kernel in one go: a context costs well under a microsecond then.
let pool: Buffer | undefined;
let used = 0;

function randomHex(bytes: number): string {
  if (pool === undefined || used + bytes > pool.length) {
    pool = randomFillSync(pool ?? Buffer.alloc(4096));
    used = 0;
  }
  const text = pool.toString("hex", used, used + bytes);
  used += bytes;
  return /[1-9a-f]/.test(text) ? text : randomHex(bytes);
}

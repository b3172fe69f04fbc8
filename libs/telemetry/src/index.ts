export { GEN_AI } from "./gen-ai-attributes.ts";
export { createLog, redactText, type Log, type LogOptions } from "./log.ts";
export type { ActiveSpan, AttributeValue, SpanOptions, Telemetry, TelemetryOptions } from "./span.ts";
export { createTelemetry } from "./telemetry.ts";
export { childOf, formatTraceparent, newTraceContext, parseTraceparent, type TraceContext } from "./trace-context.ts";

export { GEN_AI } from "./gen-ai-attributes.ts";
export { createLog, redactText, type Log, type LogOptions } from "./log.ts";
export {
  createTelemetry,
  type ActiveSpan,
  type AttributeValue,
  type SpanOptions,
  type Telemetry,
  type TelemetryOptions,
} from "./telemetry.ts";
export { childOf, formatTraceparent, newTraceContext, parseTraceparent, type TraceContext } from "./trace-context.ts";

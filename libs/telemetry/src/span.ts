import type { Meter } from "@opentelemetry/api";

import { childOf, newTraceContext, type TraceContext } from "./trace-context.ts";

/** What a span may say about itself. */
export type AttributeValue = string | number | boolean | string[];

/** The span that is open while its work runs. Pass it on as the parent of what the work calls. */
export interface ActiveSpan extends TraceContext {
  /** Adds or replaces an attribute. */
  setAttribute(name: string, value: AttributeValue): void;
  /** Marks the span as failed. What the work throws is recorded without this. */
  recordError(error: unknown): void;
}

/** How a span is opened. */
export interface SpanOptions {
  /** The span it belongs to, also of another process. Without one it starts a trace. */
  parent?: TraceContext | undefined;
  /** What it says about itself. */
  attributes?: Record<string, AttributeValue>;
  /** Its role. Default `internal`. */
  kind?: "internal" | "server" | "client" | "producer" | "consumer";
}

/** Metrics and traces of a process. */
export interface Telemetry {
  /** Makes instruments; they cost nothing when nobody reads them. */
  readonly meter: Meter;
  /** Runs the work within a span; the span ends with it, failed if it throws. */
  span<T>(name: string, options: SpanOptions, work: (span: ActiveSpan) => Promise<T>): Promise<T>;
  /** All metrics in the Prometheus text format. Present only when asked for at creation. */
  prometheusText?(): Promise<string>;
  /** Sends what is left, at most 3 s, and ends. */
  shutdown(): Promise<void>;
}

/** What a process wants of its telemetry. */
export interface TelemetryOptions {
  /** The name of the service, for example `openhermit-gateway`. `OTEL_SERVICE_NAME` goes before it. */
  service: string;
  /** Its version. */
  version: string;
  /** The environment. Traces are sent when it names an OTLP endpoint or exporter; the standard OTEL_* variables hold. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether metrics are kept for `prometheusText`. */
  prometheus?: boolean;
}

/** A span that nobody records: it only carries the trace on. */
export function unrecordedSpan(parent: TraceContext | undefined): ActiveSpan {
  const context = parent === undefined ? newTraceContext() : childOf(parent);
  return { ...context, setAttribute: () => {}, recordError: () => {} };
}

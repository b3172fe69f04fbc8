import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Meter, type Span, type Tracer } from "@opentelemetry/api";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from "@opentelemetry/semantic-conventions";

import { unrecordedSpan, type ActiveSpan, type SpanOptions, type Telemetry, type TelemetryOptions } from "./span.ts";

const SCOPE = "openhermit";
const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

interface SdkOptions extends TelemetryOptions {
  traces: boolean;
  metrics: boolean;
}

/** The telemetry on the OpenTelemetry SDK. Only createTelemetry calls this: the SDK costs 20 MB. */
export async function createSdkTelemetry(options: SdkOptions): Promise<Telemetry> {
  const resource = defaultResource()
    .merge(resourceFromAttributes({ [ATTR_SERVICE_NAME]: options.service, [ATTR_SERVICE_VERSION]: options.version }))
    .merge(detectResources({ detectors: [envDetector] }));
  const [tracing, metering] = await Promise.all([
    options.traces ? startTracing(options.env, resource) : undefined,
    options.metrics ? startMetering(resource) : undefined,
  ]);
  const { createNoopMeter } = await import("@opentelemetry/api");
  return {
    meter: metering?.meter ?? createNoopMeter(),
    span: (name, spanOptions, work) =>
      tracing === undefined
        ? work(unrecordedSpan(spanOptions.parent))
        : runInSpan(tracing.tracer, name, spanOptions, work),
    ...(metering === undefined ? {} : { prometheusText: metering.text }),
    async shutdown() {
      const ended = Promise.allSettled([tracing?.shutdown(), metering?.shutdown()]);
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, 3_000);
      await Promise.race([ended, timeout.promise]);
      clearTimeout(timer);
    },
  };
}

type Resource = ReturnType<typeof defaultResource>;

async function startTracing(
  env: TelemetryOptions["env"],
  resource: Resource,
): Promise<{ tracer: Tracer; shutdown(): Promise<void> }> {
  const [{ BatchSpanProcessor, TracerProvider }, { OTLPTraceExporter }, { samplerFromEnvironment }] = await Promise.all(
    [import("@opentelemetry/sdk-trace"), import("@opentelemetry/exporter-trace-otlp-proto"), import("./sampler.ts")],
  );
  // Headers, timeout, compression and certificates are read by the exporter itself, by the standard's names.
  const url = tracesUrl(env);
  const exporter = new OTLPTraceExporter(url === undefined ? {} : { url });
  const provider = new TracerProvider({
    resource,
    sampler: samplerFromEnvironment(env),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        ...positive(env, "OTEL_BSP_SCHEDULE_DELAY", "scheduledDelayMillis"),
        ...positive(env, "OTEL_BSP_EXPORT_TIMEOUT", "exportTimeoutMillis"),
        ...positive(env, "OTEL_BSP_MAX_QUEUE_SIZE", "maxQueueSize"),
        ...positive(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "maxExportBatchSize"),
      }),
    ],
  });
  return { tracer: provider.getTracer(SCOPE), shutdown: () => provider.shutdown() };
}

async function startMetering(
  resource: Resource,
): Promise<{ meter: Meter; text(): Promise<string>; shutdown(): Promise<void> }> {
  const [{ MeterProvider, MetricReader }, { PrometheusSerializer }] = await Promise.all([
    import("@opentelemetry/sdk-metrics"),
    import("@opentelemetry/exporter-prometheus"),
  ]);
  // The exporter's own HTTP server is not wanted: the gateway serves the text on its one port.
  class PullReader extends MetricReader {
    protected override async onShutdown(): Promise<void> {}
    protected override async onForceFlush(): Promise<void> {}
  }
  const reader = new PullReader();
  const provider = new MeterProvider({ resource, readers: [reader] });
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  return {
    meter: provider.getMeter(SCOPE),
    async text() {
      const { resourceMetrics } = await reader.collect();
      // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the exporter pins a copy of the SDK of its own; the data are the same
      return serializer.serialize(resourceMetrics);
    },
    shutdown: () => provider.shutdown(),
  };
}

async function runInSpan<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: (span: ActiveSpan) => Promise<T>,
): Promise<T> {
  const { parent } = options;
  const context =
    parent === undefined
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, {
          traceId: parent.traceId,
          spanId: parent.spanId,
          traceFlags: parent.sampled ? 1 : 0,
          isRemote: true,
        });
  const span = tracer.startSpan(
    name,
    { kind: KINDS[options.kind ?? "internal"], attributes: options.attributes ?? {} },
    context,
  );
  try {
    return await work(activeSpan(span));
  } catch (error) {
    recordError(span, error);
    throw error;
  } finally {
    span.end();
  }
}

function activeSpan(span: Span): ActiveSpan {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceId,
    spanId,
    sampled: (traceFlags & 1) === 1,
    setAttribute: (name, value) => void span.setAttribute(name, value),
    recordError: (error) => recordError(span, error),
  };
}

// Only the kind of error: messages and stacks may carry what a person wrote.
function recordError(span: Span, error: unknown): void {
  span.setAttribute("error.type", error instanceof Error ? error.name : typeof error);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function tracesUrl(env: TelemetryOptions["env"]): string | undefined {
  const exact = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]?.trim();
  if (exact) {
    return exact;
  }
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"]?.trim();
  return base ? `${base.replace(/\/+$/, "")}/v1/traces` : undefined;
}

function positive<Key extends string>(
  env: TelemetryOptions["env"],
  variable: string,
  key: Key,
): Partial<Record<Key, number>> {
  const value = Number(env[variable]);
  return Number.isFinite(value) && value > 0 ? ({ [key]: value } as Record<Key, number>) : {};
}

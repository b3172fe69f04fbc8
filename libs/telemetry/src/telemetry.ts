import { unrecordedSpan, type Telemetry, type TelemetryOptions } from "./span.ts";

/** Creates the telemetry. The OpenTelemetry SDK is loaded only if traces are sent or metrics are kept. */
export async function createTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { env } = options;
  const disabled = env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true";
  const traces = !disabled && wantsTraces(env);
  const metrics = !disabled && options.prometheus === true;
  if (traces || metrics) {
    const { createSdkTelemetry } = await import("./sdk-telemetry.ts");
    return createSdkTelemetry({ ...options, traces, metrics });
  }
  const { createNoopMeter } = await import("@opentelemetry/api");
  return {
    meter: createNoopMeter(),
    span: (_name, spanOptions, work) => work(unrecordedSpan(spanOptions.parent)),
    ...(options.prometheus === true ? { prometheusText: async () => "" } : {}),
    shutdown: async () => {},
  };
}

function wantsTraces(env: TelemetryOptions["env"]): boolean {
  const exporter = env["OTEL_TRACES_EXPORTER"]?.trim().toLowerCase();
  if (exporter !== undefined && exporter !== "") {
    return exporter === "otlp";
  }
  return Boolean(env["OTEL_EXPORTER_OTLP_ENDPOINT"]?.trim() || env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]?.trim());
}

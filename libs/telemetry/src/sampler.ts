import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler,
} from "@opentelemetry/sdk-trace";

/** The sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name. Default and for a name not known: parentbased_always_on. */
export function samplerFromEnvironment(env: Readonly<Record<string, string | undefined>>): Sampler {
  const name = env["OTEL_TRACES_SAMPLER"]?.trim().toLowerCase() ?? "";
  const base = name.replace(/^parentbased_/, "");
  const root = rootSampler(base, env["OTEL_TRACES_SAMPLER_ARG"]);
  return name === base && name !== "" ? root : new ParentBasedSampler({ root });
}

function rootSampler(name: string, argument: string | undefined): Sampler {
  switch (name) {
    case "always_off":
      return new AlwaysOffSampler();
    case "traceidratio": {
      const ratio = Number(argument);
      return new TraceIdRatioBasedSampler(argument !== undefined && ratio >= 0 && ratio <= 1 ? ratio : 1);
    }
    default:
      return new AlwaysOnSampler();
  }
}

import { create } from "@bufbuild/protobuf";
import { ProviderKind, ProviderSchema, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { checkUrl, type CompileContext } from "./compile-context.ts";
import { API_KEY_ENV, type ProviderSource } from "./schema-resources.ts";

/** How the kinds of providers are written in a manifest. */
export const PROVIDER_KINDS = {
  anthropic: ProviderKind.ANTHROPIC,
  openai: ProviderKind.OPENAI,
  google: ProviderKind.GOOGLE,
  "openai-compatible": ProviderKind.OPENAI_COMPATIBLE,
  offline: ProviderKind.OFFLINE,
} as const;

/** A provider as a message, and its problems. */
export function compileProvider(name: string, source: ProviderSource, context: CompileContext): Provider {
  const { problems, checkRules, interpolate } = context;
  const path = ["providers", name];
  if (source.kind === undefined && !problems.touches([...path, "kind"])) {
    problems.add(path, `provider "${name}" has no kind`, `add kind: ${Object.keys(PROVIDER_KINDS).join(" | ")}`, "key");
  }
  const place = [...path, "baseUrl"];
  const baseUrl = source.baseUrl === undefined ? undefined : interpolate(source.baseUrl, place, { secrets: false });
  if (baseUrl !== undefined) checkUrl(baseUrl, place, problems);
  if (source.kind === "openai-compatible" && baseUrl === undefined && !problems.touches(place)) {
    problems.add(path, `provider "${name}" has no baseUrl`, "an openai-compatible provider needs its URL", "key");
  }
  if (source.apiKeyEnv !== undefined && !API_KEY_ENV.test(source.apiKeyEnv)) {
    const hint = "capitals, digits and _, ending in KEY or TOKEN; the key itself never stands in a manifest";
    problems.add([...path, "apiKeyEnv"], "not the name of an environment variable that holds a key", hint);
  }
  const message = create(ProviderSchema, {
    name,
    kind: source.kind === undefined ? ProviderKind.UNSPECIFIED : PROVIDER_KINDS[source.kind],
    baseUrl: baseUrl ?? "",
    apiKeyEnv: source.apiKeyEnv ?? "",
  });
  checkRules(ProviderSchema, message, path, problems);
  return message;
}

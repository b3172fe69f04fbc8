import { create } from "@bufbuild/protobuf";
import { failedPrecondition, invalidArgument, notFound, type MeshError } from "@openhermit/errors";
import { ProviderKind, ProviderSchema, type Provider } from "@openhermit/protocol/fleet/v1/agent";

/** The providers that every fleet has from the start, by name. */
export type Builtins = ReadonlyMap<string, Provider>;

const DEFAULT_OLLAMA = "http://127.0.0.1:11434/v1";

/** The built-in providers. `ollamaHost` is the value of OLLAMA_HOST: a host, host:port or URL. */
export function builtinProviders(ollamaHost: string | undefined): Builtins {
  const list: [name: string, kind: ProviderKind, baseUrl: string, apiKeyEnv: string][] = [
    ["anthropic", ProviderKind.ANTHROPIC, "", "ANTHROPIC_API_KEY"],
    ["google", ProviderKind.GOOGLE, "", "GEMINI_API_KEY"],
    ["offline", ProviderKind.OFFLINE, "", ""],
    ["ollama", ProviderKind.OPENAI_COMPATIBLE, ollamaUrl(ollamaHost), ""],
    ["openai", ProviderKind.OPENAI, "", "OPENAI_API_KEY"],
    ["openrouter", ProviderKind.OPENAI_COMPATIBLE, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"],
  ];
  return new Map(
    list.map(([name, kind, baseUrl, apiKeyEnv]) => [
      name,
      create(ProviderSchema, { name, kind, baseUrl, apiKeyEnv, builtin: true }),
    ]),
  );
}

/** As Ollama's own tools read it: scheme http and port 11434 where none is given; 0.0.0.0 is an address to listen on. */
function ollamaUrl(host: string | undefined): string {
  const text = host?.trim() ?? "";
  if (text === "") return DEFAULT_OLLAMA;
  const withScheme = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) return DEFAULT_OLLAMA;
  const url = new URL(withScheme);
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.port === "" && withScheme !== text) url.port = "11434";
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path === "" ? "/v1" : path}`;
}

/** The provider as a caller wants it. Throws invalid_argument for a URL or a variable that can't be used. */
export function desiredProvider(message: Provider): Provider {
  const { name, kind, baseUrl, apiKeyEnv } = message;
  const fields = { provider: name };
  if (kind === ProviderKind.OPENAI_COMPATIBLE && baseUrl === "") {
    throw invalidArgument("PROVIDER_URL_INVALID", `provider "${name}" has no base URL`, {
      hint: "An OpenAI-compatible provider has no public endpoint of its own: set its base URL.",
      fields,
    });
  }
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (baseUrl !== "" && url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw invalidArgument("PROVIDER_URL_INVALID", `the base URL of provider "${name}" is no http or https URL`, {
      hint: "Write it like https://models.example.com/v1.",
      fields,
    });
  }
  if (url !== undefined && (url.username !== "" || url.password !== "")) {
    throw invalidArgument("PROVIDER_URL_INVALID", `the base URL of provider "${name}" holds a password`, {
      hint: "Name the environment variable with the key in api_key_env.",
      fields,
    });
  }
  if (apiKeyEnv.startsWith("OPENHERMIT_")) {
    // These are the mesh's own credentials; a provider must not be a way to have one sent somewhere.
    throw invalidArgument("PROVIDER_KEY_INVALID", `provider "${name}" may not use a variable of OpenHermit itself`, {
      hint: "Put the provider's key into a variable of its own.",
      fields,
    });
  }
  return create(ProviderSchema, { name, kind, baseUrl, apiKeyEnv });
}

/** The error for a model whose provider does not exist: of an agent, or of the defaults when none is named. */
export function providerNotFound(name: string, agentId?: string): MeshError {
  const who = agentId === undefined ? "the model of the defaults" : `agent "${agentId}"`;
  return notFound("PROVIDER_NOT_FOUND", `${who} asks for the provider "${name}", which does not exist`, {
    hint: "List the providers for their names, or put this one.",
    fields: { provider: name, ...(agentId !== undefined && { agent_id: agentId }) },
  });
}

/** The error for a provider that nobody put. */
export function providerUnknown(name: string, builtins: Builtins): MeshError {
  const why = builtins.has(name) ? "is built in, and nobody has changed it" : "does not exist";
  return notFound("PROVIDER_NOT_FOUND", `provider "${name}" ${why}`, {
    hint: "List the providers for their names.",
    fields: { provider: name },
  });
}

/** The error for a provider that can't go; `users` says who uses it, for example `agent "one"`. */
export function providerInUse(name: string, users: string): MeshError {
  return failedPrecondition("PROVIDER_IN_USE", `provider "${name}" can't be removed: it is used by ${users}`, {
    hint: "Give them a model of another provider first.",
    fields: { provider: name },
  });
}

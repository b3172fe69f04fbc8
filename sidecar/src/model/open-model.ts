import type { LanguageModelV4 } from "@ai-sdk/provider";
import { invalidArgument } from "@openhermit/errors";
import { ProviderKind, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { createAiSdkModel } from "./ai-sdk-model.ts";
import { createEchoModel, ECHO_MODEL } from "./echo-model.ts";
import type { Model } from "./model.ts";
import { ModelError } from "./model-error.ts";

type Fetch = typeof globalThis.fetch;

const DEFAULT_BASE_URL = {
  [ProviderKind.ANTHROPIC]: "https://api.anthropic.com/v1",
  [ProviderKind.OPENAI]: "https://api.openai.com/v1",
  [ProviderKind.GOOGLE]: "https://generativelanguage.googleapis.com/v1beta",
} as const;

/**
 * Opens a model of a provider; the provider's package is loaded at the first call. A missing key is a `problem` of the
 * model, not an error here. Throws INVALID_ARGUMENT for a provider that can't be used.
 */
export function openModel(
  provider: Provider,
  modelName: string,
  env: Readonly<Record<string, string | undefined>>,
): Model {
  const { name, kind, apiKeyEnv } = provider;
  if (kind === ProviderKind.OFFLINE) {
    if (modelName !== ECHO_MODEL) {
      throw invalidArgument("MODEL_UNKNOWN", `the provider "${name}" has no model "${modelName}"`, {
        hint: `use "${name}/${ECHO_MODEL}"`,
      });
    }
    return createEchoModel(name);
  }
  const baseUrl = provider.baseUrl || (DEFAULT_BASE_URL as Partial<Record<number, string>>)[kind];
  if (baseUrl === undefined) {
    throw invalidArgument("PROVIDER_INVALID", `the provider "${name}" has no base URL or a kind that is not known`, {
      hint: "set base_url, or update this sidecar",
    });
  }
  if (!/^https?:$/.test(URL.parse(baseUrl)?.protocol ?? "")) {
    throw invalidArgument("PROVIDER_INVALID", `the base URL of the provider "${name}" is not an http or https URL`);
  }
  const apiKey = apiKeyEnv === "" ? "" : (env[apiKeyEnv]?.trim() ?? "");
  const problem =
    apiKeyEnv !== "" && apiKey === ""
      ? new ModelError(
          "MODEL_KEY_MISSING",
          `the model ${name}/${modelName} needs an API key: set ${apiKeyEnv} in the environment of the gateway (or of this sidecar) and restart`,
        )
      : undefined;
  return createAiSdkModel({
    target: { provider: name, model: modelName, baseUrl, apiKeyEnv },
    problem,
    load: () => load(kind, { name, modelName, baseUrl, apiKey }),
    // The conversation is ours to keep: nothing of it is to be stored at the provider.
    providerOptions: kind === ProviderKind.OPENAI ? { openai: { store: false } } : undefined,
  });
}

interface LoadOptions {
  name: string;
  modelName: string;
  baseUrl: string;
  apiKey: string;
}

async function load(kind: ProviderKind, options: LoadOptions): Promise<LanguageModelV4> {
  const { name, modelName, baseUrl: baseURL } = options;
  // The packages refuse an empty key and would read their own variables of the process; a key that is not there is taken out of the request.
  const apiKey = options.apiKey || "none";
  const fetch = options.apiKey === "" ? withoutCredentials : globalThis.fetch;
  switch (kind) {
    case ProviderKind.ANTHROPIC: {
      const { createAnthropic } = await import("@ai-sdk/anthropic");
      return createAnthropic({ baseURL, apiKey, fetch })(modelName);
    }
    case ProviderKind.OPENAI: {
      const { createOpenAI } = await import("@ai-sdk/openai");
      // Also behind another base URL, for example a regional endpoint: what speaks only chat completions is OPENAI_COMPATIBLE.
      return createOpenAI({ baseURL, apiKey, fetch }).responses(modelName);
    }
    case ProviderKind.GOOGLE: {
      const { createGoogle } = await import("@ai-sdk/google");
      return createGoogle({ baseURL, apiKey, fetch })(modelName);
    }
    default: {
      const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
      return createOpenAICompatible({
        name,
        baseURL,
        includeUsage: true,
        fetch,
        ...(options.apiKey === "" ? {} : { apiKey }),
      })(modelName);
    }
  }
}

const withoutCredentials: Fetch = (input, init) => {
  const headers = new Headers(init?.headers);
  for (const header of ["authorization", "x-api-key", "x-goog-api-key"]) headers.delete(header);
  return globalThis.fetch(input, { ...init, headers });
};

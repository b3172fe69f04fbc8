import type { Field } from "./field.ts";

/** An environment, as a process gets it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The values of a shape of settings. */
export type ConfigOf<Shape extends Record<string, Field<unknown>>> = {
  readonly [Key in keyof Shape]: Shape[Key] extends Field<infer Value> ? Value : never;
};

/** A configuration that can't be used. Its message lists every problem. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One sentence each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Reads settings from a passed environment; a variable that is empty counts as not set. Pure: it looks at
 * nothing but its arguments. Throws a ConfigError that lists all problems at once.
 */
export function parseConfig<Shape extends Record<string, Field<unknown>>>(
  env: Environment,
  shape: Shape,
): ConfigOf<Shape> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(shape)) {
    const raw = env[field.env]?.trim() ?? "";
    if (raw === "") {
      if (field.fallback === undefined) {
        problems.push(`${field.env} is not set; it is required`);
      } else {
        config[key] = field.fallback.value;
      }
      continue;
    }
    try {
      config[key] = field.parse(raw);
    } catch (error) {
      problems.push(`${field.env} ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return config as ConfigOf<Shape>;
}

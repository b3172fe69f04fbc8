/** One setting: the variable it is read from, and how. */
export interface Field<Value> {
  /** The environment variable. */
  readonly env: string;
  /** The value when the variable is not set or empty; undefined where one must be given. */
  readonly fallback: { readonly value: Value } | undefined;
  /** The value of a text. Throws an Error that says what is wrong, to be read after the variable's name. */
  parse(text: string): Value;
}

/** What every kind of setting takes. */
export interface FieldOptions<Value> {
  /** The environment variable. */
  env: string;
  /** The value when it is not set. Without it the variable must be set. */
  fallback?: Value;
}

/** A host and a port. */
export interface HostPort {
  /** A name or an address; an IPv6 address without brackets. */
  host: string;
  /** 0 to 65535; 0 lets the system choose. */
  port: number;
}

function field<Value>(options: FieldOptions<Value>, parse: (text: string) => Value): Field<Value> {
  return {
    env: options.env,
    fallback: "fallback" in options ? { value: options.fallback } : undefined,
    parse,
  };
}

/** Any text. */
export function text(options: FieldOptions<string>): Field<string> {
  return field(options, (raw) => raw);
}

/** A whole number within bounds, both included. */
export function integer(options: FieldOptions<number> & { min?: number; max?: number }): Field<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  return field(options, (raw) => {
    const value = Number(raw);
    if (!/^-?\d+$/.test(raw) || !Number.isSafeInteger(value)) {
      throw new Error(`must be a whole number, not "${raw}"`);
    }
    if (value < min || value > max) {
      throw new Error(`must be between ${min} and ${max}, not ${raw}`);
    }
    return value;
  });
}

/** Yes or no: `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`. Default no. */
export function flag(options: FieldOptions<boolean>): Field<boolean> {
  return field({ fallback: false, ...options }, (raw) => {
    const word = raw.toLowerCase();
    if (["1", "true", "yes", "on"].includes(word)) {
      return true;
    }
    if (["0", "false", "no", "off"].includes(word)) {
      return false;
    }
    throw new Error(`must be true or false, not "${raw}"`);
  });
}

/** One of a few words. */
export function oneOf<const Word extends string>(
  options: FieldOptions<Word> & { values: readonly Word[] },
): Field<Word> {
  return field(options, (raw) => {
    const word = options.values.find((value) => value === raw);
    if (word === undefined) {
      throw new Error(`must be one of ${options.values.join(", ")}, not "${raw}"`);
    }
    return word;
  });
}

/** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`, which means 127.0.0.1. The fallback is written the same way. */
export function hostPort(options: FieldOptions<string>): Field<HostPort> {
  const { env, fallback } = options;
  return field(fallback === undefined ? { env } : { env, fallback: parseHostPort(fallback) }, parseHostPort);
}

/** The host and the port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. Throws an Error that says what is wrong. */
export function parseHostPort(raw: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(raw);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new Error(`must be HOST:PORT with a port from 0 to 65535, for example 127.0.0.1:8780, not "${raw}"`);
  }
  return { host: match[1] ?? (match[2] || "127.0.0.1"), port };
}

/** An absolute URL of one of the schemes, by default http and https. Returned as it was given. */
export function url(options: FieldOptions<string> & { schemes?: readonly string[] }): Field<string> {
  const { schemes = ["http", "https"] } = options;
  return field(options, (raw) => {
    const scheme = URL.canParse(raw) ? new URL(raw).protocol.slice(0, -1) : "";
    if (!schemes.includes(scheme)) {
      // The text is not repeated: a database URL may hold a password.
      throw new Error(`must be a URL that begins with ${schemes.map((name) => `${name}://`).join(" or ")}`);
    }
    return raw;
  });
}

/** The same setting, undefined when its variable is not set. */
export function optional<Value>(inner: Field<Value>): Field<Value | undefined> {
  return { env: inner.env, fallback: { value: undefined }, parse: (raw) => inner.parse(raw) };
}

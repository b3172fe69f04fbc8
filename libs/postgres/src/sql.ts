import { createHash } from "node:crypto";

/** One SQL statement, or a part of one, with its parameters. */
export interface Sql {
  /** The text, with `$1`, `$2`, … for the values. */
  readonly text: string;
  /** The parameters, in order. */
  readonly values: unknown[];
  /** The name under which a connection keeps the statement prepared. Without one it is planned anew at each use. */
  readonly name?: string;
}

interface Prepared {
  readonly text: string;
  readonly name: string;
}

/** Statements without inlined parts: their text is made and hashed once for each place in the source. */
const preparedByPlace = new WeakMap<TemplateStringsArray, Prepared>();
/** Names of the texts of combined statements. Bounded, in case a caller makes ever new texts. */
const nameByText = new Map<string, string>();
const MAX_REMEMBERED_NAMES = 2000;

function hashName(text: string): string {
  return `ohm_${createHash("sha1").update(text).digest("hex")}`;
}

function nameOf(text: string): string {
  let name = nameByText.get(text);
  if (name === undefined) {
    if (nameByText.size >= MAX_REMEMBERED_NAMES) nameByText.clear();
    name = hashName(text);
    nameByText.set(text, name);
  }
  return name;
}

function numbered(chunks: readonly string[]): string {
  let text = chunks[0] as string;
  for (let i = 1; i < chunks.length; i++) text += `$${i}${chunks[i] as string}`;
  return text;
}

/** Chunks of text with a value between each two. Text and name are made when first asked for. */
class Statement implements Sql {
  readonly chunks: readonly string[];
  readonly values: unknown[];
  readonly #named: boolean;
  #prepared: Prepared | undefined;

  constructor(chunks: readonly string[], values: unknown[], named: boolean, prepared?: Prepared) {
    this.chunks = chunks;
    this.values = values;
    this.#named = named;
    this.#prepared = prepared;
  }

  get text(): string {
    return this.#prepare().text;
  }

  get name(): string {
    return this.#prepare().name;
  }

  #prepare(): Prepared {
    if (this.#prepared === undefined) {
      const text = numbered(this.chunks);
      this.#prepared = { text, name: this.#named ? nameOf(text) : "" };
    }
    return this.#prepared;
  }
}

/** Appends a part with its values to the chunks of a statement in the making. */
function append(chunks: string[], values: unknown[], part: Statement): void {
  chunks.push((chunks.pop() ?? "") + (part.chunks[0] as string), ...part.chunks.slice(1));
  values.push(...part.values);
}

/**
 * A statement from a tagged template: every value becomes a parameter, an {@link Sql} made by this module is inlined
 * with its parameters renumbered. Statements are named by a hash of their text, so each connection prepares them once.
 * The number of different texts must be bounded: pass lists as arrays (`= ANY(${ids})`, `unnest(${ids}::text[])`).
 */
export function sql(strings: TemplateStringsArray, ...values: unknown[]): Sql {
  if (!values.some((value) => value instanceof Statement)) {
    let prepared = preparedByPlace.get(strings);
    if (prepared === undefined) {
      const text = numbered(strings);
      prepared = { text, name: hashName(text) };
      preparedByPlace.set(strings, prepared);
    }
    return new Statement(strings, values, true, prepared);
  }
  const chunks = [strings[0] as string];
  const flat: unknown[] = [];
  values.forEach((value, i) => {
    const after = strings[i + 1] as string;
    if (value instanceof Statement) {
      append(chunks, flat, value);
      chunks.push((chunks.pop() as string) + after);
    } else {
      flat.push(value);
      chunks.push(after);
    }
  });
  return new Statement(chunks, flat, true);
}

/** Joins parts with a separator that is trusted text, for example `joinSql(conditions, " AND ")`. Empty gives empty text. */
export function joinSql(parts: readonly Sql[], separator: string): Sql {
  const chunks: string[] = [];
  const values: unknown[] = [];
  parts.forEach((part, i) => {
    if (!(part instanceof Statement)) throw new TypeError("only parts made by sql and rawSql can be joined");
    if (i > 0) chunks.push((chunks.pop() as string) + separator);
    append(chunks, values, part);
  });
  return new Statement(chunks.length === 0 ? [""] : chunks, values, true);
}

/**
 * Text as it is, without parameters and never prepared: names made by {@link quoteName}, migrations, `LISTEN`.
 * Alone it may hold several statements. Never for anything a caller sent.
 */
export function rawSql(text: string): Sql {
  return new Statement([text], [], false);
}

/** A name of a table, schema, channel or role, quoted. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

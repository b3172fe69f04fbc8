import { toJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { Option } from "commander";
import type { Terminal } from "./terminal.ts";
import { plainLine } from "./plain-text.ts";
import { formatTable, type Column } from "./table.ts";

/** How data is printed. */
export type OutputFormat = "table" | "text" | "raw" | "json" | "jsonl" | "yaml" | "name";

/** The option -o with the formats a verb knows; the first one is its default. */
export function outputOption(...formats: [OutputFormat, ...OutputFormat[]]): Option {
  return new Option("-o, --output <format>", "how to print").choices(formats).default(formats[0]);
}

/** Prints one JSON value: indented, on one line, or as YAML. */
export async function printValue(terminal: Terminal, format: OutputFormat, value: JsonValue): Promise<void> {
  if (format === "yaml") {
    const { stringify } = await import("yaml");
    terminal.write(stringify(value));
  } else {
    terminal.line(format === "json" ? JSON.stringify(value, null, 2) : JSON.stringify(value));
  }
}

/** What a list is printed with. */
export interface ListView<Item> {
  columns: readonly Column<Item>[];
  name(item: Item): string;
  /** Said to a person when there is none. */
  none: string;
}

/** Prints messages: a table for people, protobuf's JSON for programs (an array; one object a line with jsonl), or names. */
export async function printMessages<Desc extends DescMessage>(
  terminal: Terminal,
  format: OutputFormat,
  options: ListView<MessageShape<Desc>> & { schema: Desc; messages: readonly MessageShape<Desc>[] },
): Promise<void> {
  const { schema, messages } = options;
  await printItems(terminal, format, { ...options, items: messages, json: (message) => toJson(schema, message) });
}

/** The same for what is no message of the gateway. */
export async function printItems<Item>(
  terminal: Terminal,
  format: OutputFormat,
  options: ListView<Item> & { items: readonly Item[]; json(item: Item): JsonValue },
): Promise<void> {
  const { items, json, columns, name, none } = options;
  if (format === "table" || format === "text") {
    if (items.length === 0) terminal.say(none);
    else terminal.line(formatTable(terminal, columns, items));
  } else if (format === "name") {
    for (const item of items) terminal.line(name(item));
  } else if (format === "jsonl") {
    for (const item of items) terminal.line(JSON.stringify(json(item)));
  } else {
    await printValue(terminal, format, items.map(json));
  }
}

/** Prints one message: as lines of title and value for people (those without a value are left out), or as data. */
export async function printMessage<Desc extends DescMessage>(
  terminal: Terminal,
  format: OutputFormat,
  options: {
    schema: Desc;
    message: MessageShape<Desc>;
    rows: readonly (readonly [title: string, value: string])[];
    name: string;
  },
): Promise<void> {
  const { schema, message, rows, name } = options;
  if (format === "text" || format === "table") printRows(terminal, rows);
  else if (format === "name") terminal.line(name);
  else await printValue(terminal, format, toJson(schema, message));
}

/** Lines of title and value; those without a value are left out. */
export function printRows(terminal: Terminal, rows: readonly (readonly [title: string, value: string])[]): void {
  const shown = rows.filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([title]) => title.length));
  for (const [title, value] of shown) {
    terminal.line(`${terminal.paint("dim", title.padEnd(width))} ${plainLine(value, 1000)}`);
  }
}

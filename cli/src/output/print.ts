import { toJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { Option } from "commander";
import type { Terminal } from "./terminal.ts";
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

/** Prints messages: a table for people, protobuf's JSON for programs (an array; one object a line with jsonl), or names. */
export async function printMessages<Desc extends DescMessage>(
  terminal: Terminal,
  format: OutputFormat,
  options: {
    schema: Desc;
    messages: readonly MessageShape<Desc>[];
    columns: readonly Column<MessageShape<Desc>>[];
    name(message: MessageShape<Desc>): string;
    /** Said to a person when there is none. */
    none: string;
  },
): Promise<void> {
  const { schema, messages, columns, name, none } = options;
  if (format === "table" || format === "text") {
    if (messages.length === 0) terminal.say(none);
    else terminal.line(formatTable(terminal, columns, messages));
  } else if (format === "name") {
    for (const message of messages) terminal.line(name(message));
  } else if (format === "jsonl") {
    for (const message of messages) terminal.line(JSON.stringify(toJson(schema, message)));
  } else {
    await printValue(
      terminal,
      format,
      messages.map((message) => toJson(schema, message)),
    );
  }
}

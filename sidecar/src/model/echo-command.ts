import type { ModelTool } from "./model.ts";

/** What a message tells the offline model to do. */
export type EchoCommand =
  | { kind: "none" }
  | { kind: "call"; tool: string; arguments: Record<string, unknown> }
  | { kind: "problem"; text: string };

const COMMAND =
  /\buse\s+(?:the\s+)?(?:tool\s+)?["'`]?([\w.-]+)["'`]?(?:\s+tool)?\s+(?:to\s+say\s+(\S[^]*)|with\s+(\{[^]*\}))\s*$/i;

/** Reads `use <tool> to say <text>` and `use <tool> with {json}`. A tool is named in full or by what follows its server's name. */
export function readEchoCommand(message: string, tools: readonly ModelTool[]): EchoCommand {
  // A longer message is no command, and the pattern need not be tried on it.
  const match = message.length > 20_000 ? null : COMMAND.exec(message);
  const [, name, words, json] = match ?? [];
  if (name === undefined) return { kind: "none" };
  const tool = findTool(name, tools);
  if (tool === undefined) return { kind: "problem", text: unknownTool(name, tools) };
  if (json !== undefined) return callWith(tool.name, json);
  const argument = firstStringArgument(tool);
  return argument === undefined
    ? { kind: "problem", text: `The tool ${tool.name} takes no text. Say: use ${tool.name} with {json}` }
    : { kind: "call", tool: tool.name, arguments: { [argument]: (words ?? "").trim() } };
}

function findTool(name: string, tools: readonly ModelTool[]): ModelTool | undefined {
  const wanted = name.toLowerCase();
  return (
    tools.find((tool) => tool.name.toLowerCase() === wanted) ??
    tools.find((tool) => tool.name.toLowerCase().endsWith(`__${wanted}`))
  );
}

function callWith(tool: string, json: string): EchoCommand {
  try {
    return { kind: "call", tool, arguments: JSON.parse(json) as Record<string, unknown> };
  } catch {
    return { kind: "problem", text: `These arguments for ${tool} are not valid JSON: ${json.slice(0, 200)}` };
  }
}

function firstStringArgument({ inputSchema }: ModelTool): string | undefined {
  const properties = Object.entries(inputSchema.properties ?? {});
  const required = new Set(inputSchema.required);
  const texts = properties.filter(([, schema]) => (schema as { type?: unknown } | null)?.type === "string");
  return (texts.find(([name]) => required.has(name)) ?? texts[0])?.[0];
}

function unknownTool(name: string, tools: readonly ModelTool[]): string {
  if (tools.length === 0) return `I have no tool "${name}": this agent has no tools. Assign an MCP server to it.`;
  const names = tools.map((tool) => tool.name);
  const shown = names.slice(0, 50).join(", ");
  return `I have no tool "${name}". My tools: ${shown}${names.length > 50 ? `, and ${names.length - 50} more` : ""}.`;
}

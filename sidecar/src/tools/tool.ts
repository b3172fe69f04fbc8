import type { ModelTool } from "../model/model.ts";

/** What a tool is called with besides its arguments. */
export interface ToolContext {
  /** The same for every repetition of this call: what has an effect can tell a repetition by it. */
  idempotencyKey: string;
  /** The W3C trace context of the call. */
  traceparent: string;
  signal: AbortSignal;
}

/** What a tool answered. */
export interface ToolAnswer {
  /** At most 256 KiB, see boundToolText. */
  text: string;
  isError: boolean;
}

/** Something a model can call. */
export interface Tool {
  /** As the model sees it. Made once, when the tool becomes known, not for each turn. */
  readonly definition: ModelTool;
  /** Calls it. What goes wrong is an answer with isError; rejects only after an abort. */
  call(input: Record<string, unknown>, context: ToolContext): Promise<ToolAnswer>;
}

/** The tools of an agent at one moment. Never changes; a turn keeps the one it started with. */
export interface Toolset {
  readonly definitions: readonly ModelTool[];
  find(name: string): Tool | undefined;
}

/** Makes a toolset. Of two tools with one name the first counts. */
export function createToolset(tools: Iterable<Tool>): Toolset {
  const byName = new Map<string, Tool>();
  for (const tool of tools) {
    if (!byName.has(tool.definition.name)) byName.set(tool.definition.name, tool);
  }
  const definitions = [...byName.values()].map((tool) => tool.definition);
  return { definitions, find: (name) => byName.get(name) };
}

/** The toolset with one more tool, which comes first. */
export function withTool(tool: Tool, { definitions, find }: Toolset): Toolset {
  return {
    definitions: [tool.definition, ...definitions],
    find: (name) => (name === tool.definition.name ? tool : find(name)),
  };
}

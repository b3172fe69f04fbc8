import { toJson, type DescMessage, type Message } from "@bufbuild/protobuf";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { AgentSchema, DefaultsSchema, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { compileText } from "../test/compile-text.ts";
import { manifestContent } from "../test/manifest-arbitrary.ts";
import { manifestText, type ManifestContent } from "./export-yaml.ts";

/** The content as JSON, in the order of its ids. */
function asJson({ defaults, providers, agents, skills, mcpServers }: ManifestContent): unknown {
  const ordered = (schema: DescMessage, messages: readonly Message[], idOf: (message: never) => string): unknown =>
    messages
      .toSorted((a, b) => (idOf(a as never) < idOf(b as never) ? -1 : 1))
      .map((message) => toJson(schema, message));
  return {
    defaults: defaults && toJson(DefaultsSchema, defaults),
    providers: ordered(ProviderSchema, providers, ({ name }: { name: string }) => name),
    agents: ordered(AgentSchema, agents, ({ id }: { id: string }) => id),
    skills: ordered(SkillSchema, skills, ({ id }: { id: string }) => id),
    mcpServers: ordered(McpServerSchema, mcpServers, ({ id }: { id: string }) => id),
  };
}

it("writes what reads back as the same, whatever the texts", () => {
  fc.assert(
    fc.property(manifestContent, (content) => {
      const text = manifestText(content, { skillPaths: false });
      const compiled = compileText(text);
      expect(compiled.lines).toEqual([]);
      expect(asJson(compiled)).toEqual(asJson(content));
      // Only what can be read in any editor.
      expect(text).toMatch(/^[\t\n\u0020-\u007e\u00a1-\u2027\u202f-\ufefe\uff00-\u{10ffff}]*$/u);
    }),
    { numRuns: 100 },
  );
}, 120_000);

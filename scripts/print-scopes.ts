// Prints docs/scopes.md: every scope, the lowest role that holds it, and the methods it opens, from the Access options of
// the contracts and the rights table of services/access. Run by `npm run generate`; `npm run gen:check` prints it elsewhere.
import { globSync, writeFileSync } from "node:fs";
import { getOption, hasOption, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { createAccessRules, methodName, type AccessRule } from "../gateway/src/access/access-rules.ts";
import { access, AgentBinding, Audience } from "../libs/protocol/src/gen/openhermit/common/v1/access_pb.ts";
import { Role } from "../libs/protocol/src/gen/openhermit/access/v1/subject_pb.ts";
import { RESOURCES } from "../services/access/src/rights/resources.ts";

const ROLES = new Map<Role, string>([
  [Role.VIEWER, "viewer"],
  [Role.OPERATOR, "operator"],
  [Role.ADMIN, "admin"],
  [Role.OWNER, "owner"],
]);
const BINDINGS = new Map<AgentBinding, string>([
  [AgentBinding.SELECTED, "names one"],
  [AgentBinding.LISTED, "shows those in reach"],
  [AgentBinding.LOOKED_UP, "finds out which"],
]);

const root = new URL("..", import.meta.url).pathname;
const [target = `${root}docs/scopes.md`] = process.argv.slice(2);

async function allMethods(): Promise<DescMethod[]> {
  const services: DescService[] = [];
  for (const file of globSync("libs/protocol/src/gen/**/*_pb.ts", { cwd: root })) {
    const exported = (await import(root + file)) as Record<string, { kind?: string }>;
    services.push(...(Object.values(exported).filter(({ kind }) => kind === "service") as unknown as DescService[]));
  }
  return services.flatMap(({ methods }) => methods).toSorted((a, b) => (methodName(a) < methodName(b) ? -1 : 1));
}

/** A table as the formatter wants it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function scopeRows(): string[][] {
  return [...RESOURCES].flatMap(([resource, rights]) =>
    (["read", "write"] as const).flatMap((verb) => {
      const role = rights[verb];
      if (role === undefined || rights.byScope !== "yes") return [];
      const selector = rights.selector === "" ? "" : `${article(rights.selector)}'s id`;
      return [[`\`${resource}:${verb}\``, ROLES.get(role) ?? "", selector, rights.text]];
    }),
  );
}

const article = (noun: string): string => `${/^([aeiou]|MCP)/.test(noun) ? "an" : "a"} ${noun}`;

function methodRow(method: DescMethod, rule: AccessRule | undefined): string[] {
  const name = `\`${methodName(method).replace(/^openhermit\./, "")}\``;
  switch (rule?.audience) {
    case Audience.PRINCIPAL: {
      const selector = hasOption(method, access) ? getOption(method, access).selector : "";
      return [
        name,
        `\`${rule.resource}:${rule.verb}\``,
        selector === "" ? "" : `\`${selector}\``,
        BINDINGS.get(rule.agents) ?? "",
        rule.recentLogin ? "within 60 minutes" : "",
      ];
    }
    case Audience.PUBLIC:
      return [name, "everybody", "", "", ""];
    case Audience.SIDECAR:
      return [name, "sidecars", "", "its own", ""];
    default:
      return [name, "nobody", "", "", ""];
  }
}

const methods = await allMethods();
const rules = createAccessRules(methods, RESOURCES);
const text = `# Scopes

Printed by \`scripts/print-scopes.ts\` from the contracts and the rights table of \`services/access\`; do not edit.

A token of a program is narrowed by scopes, \`resource[:selector]:verb\`: \`agents:read\` reads all agents in reach, \`agents:one:read\` the
agent \`one\` alone. A selector is one id, compared whole. \`write\` includes \`read\`; \`*\` as the resource means every scope below. What a token may
do is what its scopes say, and no more than whom it stands for and who made it may do at that moment.

## The scopes

${table(["scope", "lowest role", "selector", "what it opens"], scopeRows())}

The resource \`self\` (who one is, logging out) needs no scope. \`host\` (setup code, login link) is for the local operator alone; no token has it.

## The methods

A method whose request names a thing takes a token whose scope names it; one without asks for a scope without a selector, unless it finds out
itself which agents it is about. An agent that is not in reach of the caller does not exist for it.

${table(
  ["method", "needs", "field of the selector", "agents", "login"],
  methods.map((method) => methodRow(method, rules.of(method))),
)}
`;
writeFileSync(target, text);

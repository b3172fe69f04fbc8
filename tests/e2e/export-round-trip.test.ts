import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import type { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import {
  DesiredState,
  Launcher,
  ProviderKind,
  type AgentSchema,
  type AgentSpecSchema,
  type ProviderSchema,
} from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";

const { roundTrips, roundTripSeed: seed } = readTestConfig();

const folder = mkdtempSync(join(tmpdir(), "openhermit-export-"));
let databases: [TestDatabase, TestDatabase];
let gateways: [GatewayProcess, GatewayProcess];
beforeAll(async () => {
  databases = await Promise.all([testDatabase([]), testDatabase([])]);
  gateways = await Promise.all([
    startGatewayProcess({ databaseUrl: databases[0].url }),
    startGatewayProcess({ databaseUrl: databases[1].url }),
  ]);
  for (const gateway of gateways) {
    await waitFor(() => gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 }), {
      deadlineMs: 30_000,
      what: "both gateways to be ready",
    });
  }
}, 90_000);
afterAll(async () => {
  for (const gateway of gateways) await gateway.dispose();
  for (const database of databases) await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

interface Assignment {
  agents: string[];
  disabledAgents: string[];
}
interface Fleet {
  defaults: MessageInitShape<typeof AgentSpecSchema>;
  providers: MessageInitShape<typeof ProviderSchema>[];
  agents: MessageInitShape<typeof AgentSchema>[];
  servers: (MessageInitShape<typeof McpServerSchema> & Assignment)[];
  skills: ({ id: string; files: Record<string, string> } & Assignment)[];
}

/** Texts that YAML, YAML's guesses and our variables could take for something else. */
const oddText = fc.oneof(
  fc.constantFrom(
    "null",
    "yes",
    "0x10",
    "1e3",
    "2026-01-01",
    "*",
    "&a",
    "# not a comment",
    " leading and trailing ",
    "---",
    "- a\n- b",
    "key: value",
    "a: ${HOME} $${HOME} ${secret.A_KEY} $${secret.A_KEY} ${",
    "tab\tand \u{1f600} and \u0085 and \u2028 and \ufeff.",
    "one\r\ntwo\r\n",
    "line\n\n\n",
    "\n\nlate",
    "'\"`\\",
    "%YAML 1.2",
    "!!binary x",
    "?",
    "x".repeat(300),
    "$./relative",
    "./relative",
  ),
  // The contract takes no control characters but these.
  fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
    // eslint-disable-next-line no-control-regex -- these are what is left out
    .map((text) => text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, "·")),
);
const oddLine = oddText.map((text) => text.replaceAll(/[\r\n\u0085\u2028]+/g, " ")).filter((text) => text !== "");
/** At most so many characters, none of them cut. */
const shortLine = (characters: number): fc.Arbitrary<string> =>
  oddLine.map((text) => text.slice(0, characters).toWellFormed());
const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });

const model = fc.constantFrom("offline/echo", "ollama/llama3.2", "anthropic/claude-sonnet-4-5", "mine/some:model@1");
const limits = fc.record({
  maxSteps: maybe(fc.integer({ min: 1, max: 1000 })),
  timeout: maybe(fc.integer({ min: 1, max: 86_400 }).map((seconds) => ({ seconds: BigInt(seconds) }))),
  maxConcurrentTurns: maybe(fc.integer({ min: 1, max: 1000 })),
});
const parameters = fc.record({
  temperature: maybe(fc.constantFrom(0, 0.1, 0.7, 1, 2)),
  maxOutputTokens: maybe(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  topP: maybe(fc.constantFrom(0.05, 0.9, 1)),
});
const spec = (options: { model: fc.Arbitrary<string | undefined> }) =>
  fc.record({
    model: options.model.map((name) => name ?? ""),
    instructions: maybe(oddText).map((text) => text ?? ""),
    // Nobody starts sidecars for these.
    launcher: fc.constantFrom(Launcher.EXTERNAL, Launcher.UNSPECIFIED),
    modelParameters: maybe(parameters),
    turnLimits: maybe(limits),
  });

const AGENT_IDS = ["a", "null", "true-1", "zero-0", "no"];
const assigned = fc
  .uniqueArray(fc.constantFrom("*", ...AGENT_IDS), { maxLength: 3 })
  .chain((agents) =>
    fc
      .uniqueArray(fc.constantFrom(...AGENT_IDS), { maxLength: 2 })
      .map((disabled) => ({ agents, disabledAgents: disabled.filter((id) => !agents.includes(id)) })),
  );
/** Of an environment or headers: `${` begins nothing there but a secret's name. */
const valueWithSecrets = fc.oneof(
  oddLine.map((text) => text.replaceAll("${", "$(")),
  fc.constantFrom("${secret.A_KEY}", "a ${secret.A_KEY} $ b$${secret.B_TOKEN}", "$$"),
);
const environment = fc.dictionary(fc.constantFrom("REGION", "A_TOKEN", "EMPTY"), valueWithSecrets, { maxKeys: 3 });

const server = (id: string): fc.Arbitrary<Fleet["servers"][number]> =>
  fc
    .record({
      id: fc.constant(id),
      transport: fc.oneof(
        fc.record({
          case: fc.constant("stdio" as const),
          value: fc.record({
            command: fc.constantFrom("node", "/usr/bin/node", "/opt/with space/run"),
            args: fc.array(oddLine, { maxLength: 4 }),
            env: environment,
          }),
        }),
        fc.record({
          case: fc.constant("http" as const),
          value: fc.record({
            url: fc.constantFrom("https://mcp.example/mcp", "http://u:p@mcp.example:8080/x?q=1&r=%24%7Bx%7D#f"),
            headers: fc.dictionary(
              fc.constantFrom("authorization", "x-region"),
              fc.constantFrom("Bearer ${secret.A_TOKEN}", "plain", "a: b # c"),
            ),
          }),
        }),
      ),
      assignment: assigned,
      connectTimeout: maybe(fc.integer({ min: 1, max: 600 }).map((seconds) => ({ seconds: BigInt(seconds) }))),
      callTimeout: maybe(fc.integer({ min: 1, max: 3600 }).map((seconds) => ({ seconds: BigInt(seconds) }))),
    })
    .map(({ assignment, ...rest }) => ({ ...rest, ...assignment }));

const skill = (id: string): fc.Arbitrary<Fleet["skills"][number]> =>
  fc
    .record({
      id: fc.constant(id),
      files: fc.record({
        "SKILL.md": oddText.map((body) => `---\nname: ${id}\ndescription: what ${id} is\n---\n${body}\n`),
        "a folder/with ${odd} näme.txt": oddText,
        "bin/run.sh": fc.constant("#!/bin/sh\n"),
      }),
      assignment: assigned,
    })
    .map(({ assignment, ...rest }) => ({ ...rest, ...assignment }));

const some = <T>(ids: readonly string[], make: (id: string) => fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.subarray([...ids]).chain((chosen) => fc.tuple(...chosen.map(make)));

const fleets: fc.Arbitrary<Fleet> = fc.record({
  // What agents do not say themselves has to come from somewhere.
  defaults: spec({ model }).map((own) => ({ ...own, launcher: Launcher.EXTERNAL })),
  providers: fc.tuple(
    fc.record({
      name: fc.constant("mine"),
      kind: fc.constant(ProviderKind.OPENAI_COMPATIBLE),
      baseUrl: fc.constantFrom("http://127.0.0.1:9/v1", "https://models.example/v1/"),
      apiKeyEnv: fc.constantFrom("", "MINE_API_KEY"),
    }),
  ),
  agents: some(AGENT_IDS, (id) =>
    fc.record({
      id: fc.constant(id),
      displayName: shortLine(60),
      labels: fc.dictionary(fc.constantFrom("tier", "null", "a.b/c"), shortLine(100)),
      spec: spec({ model: maybe(model) }),
      desiredState: fc.constantFrom(DesiredState.RUNNING, DesiredState.STOPPED),
    }),
  ),
  servers: some(["files", "n", "y-1"], server),
  skills: some(["report", "0", "yes"], skill),
});

async function build(gateway: GatewayProcess, fleet: Fleet): Promise<void> {
  const client = gateway.client(FleetService);
  const [catalog, skills] = [gateway.client(CatalogService), gateway.client(SkillService)];
  for (const provider of fleet.providers) await client.putProvider({ provider });
  await client.putDefaults({ defaults: { spec: fleet.defaults } });
  for (const agent of fleet.agents) await client.createAgent({ agent });
  const known = new Set(["*", ...fleet.agents.map(({ id }) => id)]);
  const existing = <T extends Assignment>(thing: T): T => ({
    ...thing,
    agents: thing.agents.filter((id) => known.has(id)),
    disabledAgents: thing.disabledAgents.filter((id) => known.has(id)),
  });
  for (const mcpServer of fleet.servers) await catalog.putMcpServer({ mcpServer: existing(mcpServer) });
  for (const { files, ...wanted } of fleet.skills) {
    const bundle = {
      files: Object.entries(files).map(([path, text]) => ({
        path,
        content: Buffer.from(text),
        executable: path.endsWith(".sh"),
      })),
    };
    const { digest } = await skills.putBundle({ bundle });
    await skills.putSkill({ skill: { ...existing(wanted), digest } });
  }
}

async function empty(gateway: GatewayProcess): Promise<void> {
  const fleet = gateway.client(FleetService);
  const [catalog, skills] = [gateway.client(CatalogService), gateway.client(SkillService)];
  for (const { id } of (await catalog.listMcpServers({})).mcpServers)
    await catalog.deleteMcpServer({ mcpServerId: id });
  for (const { id } of (await skills.listSkills({})).skills) await skills.deleteSkill({ skillId: id });
  for (const { id } of (await fleet.listAgents({})).agents) await fleet.deleteAgent({ agentId: id });
  await fleet.putDefaults({ defaults: { spec: {} } });
  for (const { name, builtin } of (await fleet.listProviders({})).providers) {
    if (!builtin) await fleet.deleteProvider({ providerName: name });
  }
}

/** Every file below a folder, with its mode's right to be run. */
function filesIn(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted();
  const files = names.filter((name) => statSync(join(directory, name)).isFile());
  return Object.fromEntries(
    files.map((name) => {
      const path = join(directory, name);
      return [name, `${statSync(path).mode & 0o100 ? "x" : "-"} ${readFileSync(path, "utf8")}`];
    }),
  );
}

let rounds = 0;
async function roundTrip(fleet: Fleet): Promise<void> {
  const [a, b] = gateways;
  rounds += 1;
  const [from, to] = [join(folder, `a-${rounds}`), join(folder, `b-${rounds}`)];
  const run = async (gateway: GatewayProcess, ...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await gateway.hermit(args);
    expect([args[0], code, code === 0 ? "" : stdout + stderr]).toEqual([args[0], 0, ""]);
  };
  await Promise.all([empty(a), empty(b)]);
  await build(a, fleet);
  await run(a, "export", "-d", from);
  await run(b, "apply", "-f", join(from, "agents.yaml"));
  // Nothing is left out, and nothing is there besides.
  await Promise.all([
    run(a, "diff", "-f", join(from, "agents.yaml"), "--prune"),
    run(b, "diff", "-f", join(from, "agents.yaml"), "--prune"),
    run(b, "export", "-d", to),
  ]);
  expect(filesIn(to)).toEqual(filesIn(from));
  // The same by what the contract says, since what export leaves out would be missing in both.
  for (const { id } of fleet.agents) {
    const [one, other] = await Promise.all(
      gateways.map(async (gateway) => {
        const { agent } = await gateway.client(FleetService).getAgent({ agentId: id ?? "" });
        const { displayName, labels, spec: own, desiredState, effectiveSpec, sources } = agent ?? {};
        return { displayName, labels, own, desiredState, effectiveSpec, sources };
      }),
    );
    expect(other).toEqual(one);
  }
  const catalogs = await Promise.all(
    gateways.map(async (gateway) => {
      const { mcpServers } = await gateway.client(CatalogService).listMcpServers({});
      const { skills } = await gateway.client(SkillService).listSkills({});
      return [...mcpServers, ...skills].map((stored) => ({
        ...stored,
        etag: "",
        createTime: undefined,
        updateTime: undefined,
      }));
    }),
  );
  expect(catalogs[1]).toEqual(catalogs[0]);
}

test(
  "a random fleet, exported and applied to an empty gateway, is the same fleet: no diff at either",
  async () => {
    await fc.assert(fc.asyncProperty(fleets, roundTrip), {
      numRuns: roundTrips,
      ...(seed === undefined ? {} : { seed }),
      // A smaller fleet that fails costs a whole round trip each.
      endOnFailure: true,
    });
  },
  30_000 + roundTrips * 30_000,
);

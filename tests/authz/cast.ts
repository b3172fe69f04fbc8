import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { createClient, type Transport } from "@connectrpc/connect";
import { readConfig, startGateway, type Gateway } from "@openhermit/gateway";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { createDatabase, sql } from "@openhermit/postgres";
import { temporaryDirectory, testDatabase, testLog } from "@openhermit/testing";

import { addPerson, claimOwnership, enter, type Person } from "../fixture/people.ts";
import { mcpServer, skillBundle, skillOf, TARGETS } from "./expectations.ts";
import { createSurfaces, type Surface, type Surfaces } from "./surfaces.ts";

/** A gateway with everybody who could call it. */
export interface Cast {
  readonly gateway: Gateway;
  readonly surfaces: Surfaces;
  readonly operatorToken: string;
  readonly people: ReadonlyMap<string, Person>;
  readonly sidecarTokens: { readonly one: string; readonly two: string };
  readonly expiredToken: string;
  readonly revokedToken: string;
  /** A transport of whoever has this token; anonymous without one. */
  as(token?: string, surface?: Surface): Transport;
  /** A new token of the service account `robot`, which is an admin. */
  robotToken(scopes: readonly string[]): Promise<string>;
  dispose(): Promise<void>;
}

const MEMBERS = [
  ["viewer", Role.VIEWER, []],
  ["operator", Role.OPERATOR, []],
  ["admin", Role.ADMIN, []],
  ["red-member", Role.OPERATOR, ["red"]],
  ["blue-member", Role.OPERATOR, ["blue"]],
] as const;

/** Joins as a sidecar does, and returns its access token. */
export async function joinAsSidecar(
  gateway: Gateway,
  anonymous: Transport,
  sidecarId: string,
  agentIds: string[],
): Promise<string> {
  const client = createClient(EnrollmentService, anonymous);
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const proof = async (purpose: string, key: KeyObject) => {
    const { nonce } = await client.getNonce({});
    return {
      publicKey: raw,
      nonce,
      signature: sign(null, Buffer.from(`openhermit-mesh-v1\n${purpose}\n${nonce}`), key),
    };
  };
  const { joinToken } = await gateway.mesh.createJoinToken(sidecarId, agentIds);
  await client.join({ joinToken, proof: await proof("join", privateKey) });
  return (await client.issueToken({ proof: await proof("token", privateKey) })).accessToken;
}

/** Starts a gateway on a database of its own, with agents, teams, members, a service account and sidecars. */
export async function gatherCast(): Promise<Cast> {
  const [database, home] = await Promise.all([testDatabase([]), temporaryDirectory()]);
  const gateway = await startGateway(
    readConfig({
      OPENHERMIT_HOME: home.path,
      OPENHERMIT_LISTEN: "127.0.0.1:0",
      OPENHERMIT_DATABASE_URL: database.url,
    }),
    testLog(),
  );
  await gateway.ready;
  const surfaces = createSurfaces(gateway.url);
  const as = (token?: string, surface: Surface = "Connect") =>
    surfaces.transport(surface, token === undefined ? {} : { authorization: `Bearer ${token}` });
  const operatorToken = (await readFile(join(home.path, "operator-token"), "utf8")).trim();
  const operator = as(operatorToken);
  const anonymous = as();

  const teams = createClient(TeamService, operator);
  await teams.createTeam({ team: { id: "red" } });
  await teams.createTeam({ team: { id: "blue" } });
  await claimOwnership(operator, "owner");
  const people = new Map<string, Person>([["owner", await enter(gateway.url, anonymous, "owner")]]);
  for (const [id, role, teamIds] of MEMBERS) {
    people.set(id, await addPerson(gateway.url, { operator, anonymous }, id, role, teamIds));
  }
  const fleet = createClient(FleetService, operator);
  for (const [id, team] of [
    ["one", "red"],
    ["two", "blue"],
    ["shared", ""],
    ["spare", ""],
  ] as const) {
    await fleet.createAgent({ agent: { id, team, spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } } });
  }
  const skills = createClient(SkillService, operator);
  for (const id of TARGETS) {
    await createClient(CatalogService, operator).putMcpServer({ mcpServer: mcpServer(id) });
    await skills.putBundle({ bundle: skillBundle(skillOf(id).id) });
    await skills.putSkill({ skill: skillOf(id) });
  }
  await createClient(ServiceAccountService, operator).createServiceAccount({
    serviceAccount: { id: "robot", role: Role.ADMIN },
  });
  const tokens = createClient(TokenService, operator);
  const robotToken = async (scopes: readonly string[]) =>
    (await tokens.createToken({ serviceAccountId: "robot", scopes: [...scopes] })).secret;

  const revoked = await tokens.createToken({ serviceAccountId: "robot", scopes: ["*:write"] });
  await tokens.revokeToken({ accessor: revoked.token?.accessor ?? "" });
  const expired = await tokens.createToken({ serviceAccountId: "robot", scopes: ["*:write"] });
  await expire(database.url, expired.token?.accessor ?? "");

  return {
    gateway,
    surfaces,
    operatorToken,
    people,
    sidecarTokens: {
      one: await joinAsSidecar(gateway, anonymous, "sidecar-one", ["one", "shared"]),
      two: await joinAsSidecar(gateway, anonymous, "sidecar-two", ["two"]),
    },
    expiredToken: expired.secret,
    revokedToken: revoked.secret,
    as,
    robotToken,
    async dispose() {
      surfaces.close();
      await gateway.stop(0);
      await database.drop();
      await home.remove();
    },
  };
}

// Nobody waits a minute, the shortest life of a token; its clock is put back instead.
async function expire(url: string, accessor: string): Promise<void> {
  const database = createDatabase({ url, log: testLog(), applicationName: "authz test" });
  try {
    const { rowCount } = await database.query(
      sql`UPDATE access.tokens SET expire_time = now() - interval '1 second' WHERE accessor = ${accessor}`,
    );
    if (rowCount !== 1) throw new Error(`no token ${accessor} to expire`);
  } finally {
    await database.end();
  }
}

/** The kind of subject that a member is, for requests. */
export const memberSubject = (id: string) => ({ kind: SubjectKind.MEMBER, id });

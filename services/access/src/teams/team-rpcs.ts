import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Change } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Queryable } from "@openhermit/postgres";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TeamSchema, type Team } from "@openhermit/protocol/access/v1/team";
import type { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { principalOf, subjectName } from "../access-call.ts";
import { announce } from "../access-channel-store.ts";
import { SLUG, type AccessRpcOptions } from "../access-rpc-options.ts";
import { checkSubjectExists, subjectFrom } from "../directory/check-subject.ts";
import { adminTransaction } from "../rights/admin-transaction.ts";
import { effectiveRole, mayOwnFor } from "../rights/decide.ts";
import { deleteTeam, deleteTeamMember, insertTeam, insertTeamMember, listTeams, readTeam } from "./team-store.ts";
import { teamExists, teamNotFound, teamOwnsAgents, type StoredTeam } from "./team.ts";

/** What the RPCs of teams work on. */
export interface TeamRpcOptions extends AccessRpcOptions {
  /** The agents that exist. From memory. */
  existingAgentIds(): readonly string[];
}

const MEMBER_KINDS = [SubjectKind.MEMBER, SubjectKind.SERVICE_ACCOUNT];

/** The RPCs of teams, in the order of the proto. */
export function createTeamRpcs(options: TeamRpcOptions): ServiceImpl<typeof TeamService> {
  const { database, log, facts, call, recordChanges, changed } = options;

  function ownedAgents(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const agentId of options.existingAgentIds()) {
      const teamId = facts.ports.teamOfAgent(agentId) ?? "";
      counts.set(teamId, (counts.get(teamId) ?? 0) + 1);
    }
    return counts;
  }

  const toMessage = ({ id, displayName, members, createTime }: StoredTeam, owned: Map<string, number>): Team =>
    create(TeamSchema, {
      id,
      displayName,
      members: members.map((subject) => ({ ...subject })),
      agentCount: owned.get(id) ?? 0,
      createTime: timestampFromDate(createTime),
    });

  /** Changes a team, if `work` says what changed; undefined: nothing did. Returns the team. */
  async function change(
    context: HandlerContext,
    teamId: string,
    work: (tx: Queryable) => Promise<Omit<Change, "targetType" | "targetId"> | undefined>,
  ): Promise<StoredTeam | undefined> {
    const { actor, principal } = call(context);
    const { team, done } = await adminTransaction(database, principalOf({ actor, principal }), async (tx) => {
      const what = await work(tx);
      if (what !== undefined) {
        await recordChanges(actor)(tx, [{ ...what, targetType: "team", targetId: teamId }]);
        await announce(tx, [{ kind: "directory" }]);
      }
      return { team: await readTeam(tx, teamId), done: what };
    });
    if (done !== undefined) {
      log.info({ team_id: teamId, action: done.action, caller: subjectName(actor.subject) }, "team changed");
      await changed();
    }
    return team;
  }

  async function changeMembership(
    context: HandlerContext,
    teamId: string,
    message: { kind: SubjectKind; id: string } | undefined,
    adds: boolean,
  ): Promise<{ team: Team }> {
    const subject = subjectFrom(message, MEMBER_KINDS);
    const name = subjectName(subject);
    const team = await change(context, teamId, async (tx) => {
      if ((await readTeam(tx, teamId)) === undefined) throw teamNotFound(teamId);
      if (adds) await checkSubjectExists(tx, subject);
      const done = await (adds ? insertTeamMember : deleteTeamMember)(tx, teamId, subject);
      if (!done) return undefined;
      const field = { path: "members", before: adds ? "" : name, after: adds ? name : "" };
      return { action: adds ? "teams.add-member" : "teams.remove-member", fields: [field] };
    });
    if (team === undefined) throw teamNotFound(teamId);
    return { team: toMessage(team, ownedAgents()) };
  }

  return {
    async createTeam({ team: asked }, context) {
      const { id = "", displayName: name = "" } = asked ?? {};
      const displayName = name.trim() === "" ? id : name.trim();
      const team = await change(context, id, async (tx) => {
        if (!(await insertTeam(tx, id, displayName))) throw teamExists(id);
        return { action: "teams.create", fields: [{ path: "displayName", before: "", after: displayName }] };
      });
      return team === undefined ? {} : { team: toMessage(team, ownedAgents()) };
    },

    async getTeam({ teamId }, context) {
      const principal = principalOf(call(context));
      const team = mayOwnFor(facts, principal, teamId) ? await readTeam(database, teamId) : undefined;
      if (team === undefined) throw teamNotFound(teamId);
      return { team: toMessage(team, ownedAgents()) };
    },

    async listTeams({ pageSize, pageToken }, context) {
      const principal = principalOf(call(context));
      const only =
        effectiveRole(facts, principal) >= Role.ADMIN
          ? undefined
          : [...facts.directory.teamsOf(principal.subject)].filter((id) => mayOwnFor(facts, principal, id));
      const size = pageSizeOf(pageSize);
      const found = await listTeams(database, only, decodePageToken(pageToken, [SLUG])?.[0] ?? "", size + 1);
      const { page, nextPageToken } = cutPage(found, size, ({ id }) => [id]);
      const owned = ownedAgents();
      return { teams: page.map((team) => toMessage(team, owned)), nextPageToken };
    },

    async deleteTeam({ teamId }, context) {
      await change(context, teamId, async (tx) => {
        const team = await readTeam(tx, teamId);
        if (team === undefined) throw teamNotFound(teamId);
        const count = ownedAgents().get(teamId) ?? 0;
        if (count > 0) throw teamOwnsAgents(teamId, count);
        await deleteTeam(tx, teamId);
        return { action: "teams.delete", fields: [{ path: "displayName", before: team.displayName, after: "" }] };
      });
      return {};
    },

    addTeamMember: ({ teamId, subject }, context) => changeMembership(context, teamId, subject, true),
    removeTeamMember: ({ teamId, subject }, context) => changeMembership(context, teamId, subject, false),
  };
}

import { create, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { SkillService as SkillRpc } from "@openhermit/protocol/catalog/v1/skill_service";
import { unpackBundle } from "@openhermit/skill-bundle";
import { readBundle } from "./bundle-store.ts";
import type { Stored } from "./catalog-item.ts";
import type { CatalogServiceOptions, ChangeAuthor } from "./catalog-ports.ts";
import { putItem, removeItem, switchItem } from "./change-catalog.ts";
import { toMessage } from "./item-message.ts";
import { listVisible } from "./list-visible.ts";
import { putBundle } from "./put-bundle.ts";
import { readVisible } from "./read-visible.ts";
import { skillNotFound } from "./skill.ts";
import { skillKind } from "./skill-kind.ts";

/** The largest message of these calls, bytes: 10 MiB of files in base64, with the longest paths a thousand of them can have. */
const MAX_SKILL_MESSAGE_BYTES = 16 * 1024 * 1024;
const SKILL_ID = /^[a-z0-9-]{1,64}$/;

/** Serves openhermit.catalog.v1.SkillService. */
export function skillRpcs(router: ConnectRouter, options: CatalogServiceOptions): void {
  const { database, log, caller, audit, ports } = options;
  const authorOf = (context: HandlerContext): ChangeAuthor => ({ caller: caller(context), record: audit(context) });

  const show = (stored: Stored<Skill>, context: HandlerContext): Skill => toMessage(stored, reachOf(caller(context)));

  const read = (id: string, context: HandlerContext): Promise<Stored<Skill>> =>
    readVisible(database, skillKind, reachOf(caller(context)), id);

  const switchFor = async (
    { skillId, agentId }: { skillId: string; agentId: string },
    enabled: boolean,
    context: HandlerContext,
  ): Promise<{ skill: Skill; changed: boolean }> => {
    const author = authorOf(context);
    const wanted = { id: skillId, target: agentId, enabled };
    const { stored, changed } = await switchItem(database, skillKind, wanted, author, ports);
    if (changed) {
      const fields = { skill_id: skillId, agent_id: agentId, caller: callerName(author.caller) };
      log.info({ ...fields, enabled }, "skill assigned anew");
    }
    return { skill: show(stored, context), changed };
  };

  router.service(
    SkillRpc,
    {
      async putBundle({ bundle }, context) {
        const { digest, description } = await putBundle(database, bundle?.files ?? []);
        log.info({ digest, name: description.name, caller: callerName(caller(context)) }, "bundle stored");
        return { digest, description };
      },

      async putSkill({ skill }, context) {
        const author = authorOf(context);
        const wanted = skill ?? create(SkillSchema);
        const { stored, changed } = await putItem(database, skillKind, wanted, author, ports);
        if (changed) log.info({ skill_id: stored.item.id, caller: callerName(author.caller) }, "skill changed");
        return { skill: show(stored, context) };
      },

      async getSkill({ skillId }, context) {
        return { skill: show(await read(skillId, context), context) };
      },

      async getBundle({ skillId }, context) {
        const { digest } = (await read(skillId, context)).item;
        const data = await readBundle(database, digest);
        // The skill has moved to another bundle, or went, since it was read; a bundle stays for a day after that.
        if (data === undefined) throw skillNotFound(skillId);
        return { digest, bundle: { files: unpackBundle(data, digest) } };
      },

      async listSkills({ pageSize, pageToken }, context) {
        const size = pageSizeOf(pageSize);
        const [afterId = ""] = decodePageToken(pageToken, [SKILL_ID]) ?? [];
        const part = { afterId, limit: size + 1 };
        const found = await listVisible(database, skillKind, reachOf(caller(context)), part);
        const { page, nextPageToken } = cutPage(
          found.map((stored) => show(stored, context)),
          size,
          ({ id }) => [id],
          (skill) => toBinary(SkillSchema, skill).length,
        );
        return { skills: page, nextPageToken };
      },

      enableSkill: (request, context) => switchFor(request, true, context),

      disableSkill: (request, context) => switchFor(request, false, context),

      async deleteSkill({ skillId }, context) {
        const author = authorOf(context);
        await removeItem(database, skillKind, skillId, author, ports);
        log.info({ skill_id: skillId, caller: callerName(author.caller) }, "skill deleted");
        return {};
      },
    },
    { readMaxBytes: MAX_SKILL_MESSAGE_BYTES, writeMaxBytes: MAX_SKILL_MESSAGE_BYTES },
  );
}

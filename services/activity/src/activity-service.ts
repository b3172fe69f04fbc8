import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Database, MigrationSet, Sql, Subscription } from "@openhermit/postgres";
import {
  ActivityService as ActivityRpc,
  LoggedEventSchema,
  type LoggedEvent,
} from "@openhermit/protocol/activity/v1/activity_service";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { Log } from "@openhermit/telemetry";
import { toQuery } from "./event-query.ts";
import { ACTIVITY_CHANNEL, insertEvents, readAfter, readNewest, type LogEntry } from "./event-store.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { encodeCursor } from "./place.ts";
import { createTailHub } from "./tail-hub.ts";
import { tailLog } from "./tail-log.ts";
import { createRestoredLogTask } from "./tasks/adopt-restored-log.ts";

/** The tables of the activity log. */
export const activityMigrations: MigrationSet = {
  schema: "activity",
  directory: fileURLToPath(new URL("../migrations", import.meta.url)),
};

/** Who calls, as far as the log cares: who reads it. */
export type Caller = { kind: "principal"; id: string } | { kind: "sidecar" } | { kind: "anonymous" };

/** What the activity domain is made of. */
export interface ActivityServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
}

/** The activity domain. */
export interface ActivityService {
  routes(router: ConnectRouter): void;
  /** Begins to listen for what other gateways store; does not wait for the database. */
  start(): void;
  /** Ends all tails. */
  close(): Promise<void>;
  /** A statement that stores events, sidecar_id set, to be run alone or in a WITH of the statement of an ingest. */
  ingestStatement(events: readonly Event[]): Sql;
  /** After the commit of an {@link ingestStatement}: the tails of this gateway read at once. */
  ingested(events: readonly Event[]): void;
  /** Stores events of the gateway itself. Errors: DATABASE_UNAVAILABLE. */
  append(events: readonly Event[]): Promise<void>;
}

const DEFAULT_PAGE_SIZE = 100;
const EVERYTHING = toQuery(undefined);

/** Makes the activity log. */
export function createActivityService(options: ActivityServiceOptions): ActivityService {
  const { database, log, caller } = options;
  // Tells our own announcements, which ingested() was faster than, from those of other gateways.
  const instance = randomUUID();
  const hub = createTailHub({ read: (after, limit) => readAfter(database, EVERYTHING, after, limit), log });
  const restored = createRestoredLogTask({ database, log });
  let subscription: Subscription | undefined;

  const ingested = (events: readonly Event[]): void => {
    if (events.length > 0) hub.poke();
  };

  return {
    start() {
      subscription ??= database.listen(
        ACTIVITY_CHANNEL,
        (sender) => {
          if (sender !== instance) hub.poke();
        },
        () => {
          restored.poke();
          hub.poke();
        },
      );
    },
    async close() {
      subscription?.close();
      await Promise.all([hub.close(), restored.stop()]);
    },
    ingestStatement: (events) => insertEvents(events, instance),
    ingested,
    async append(events) {
      if (events.length === 0) return;
      await database.query(insertEvents(events, instance));
      ingested(events);
    },
    routes(router) {
      router.service(ActivityRpc, {
        async queryEvents({ filter, pageSize, pageToken }) {
          const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
          const found = await readNewest(database, toQuery(filter), decodePageToken(pageToken), limit + 1);
          const page = found.slice(0, limit);
          const last = page.at(-1);
          const nextPageToken = found.length > limit && last !== undefined ? encodePageToken(last.end) : "";
          return { events: page.map(toMessage), nextPageToken };
        },

        async *tailEvents(request, context) {
          const who = caller(context);
          log.debug({ caller: who.kind === "principal" ? who.id : who.kind }, "tail opened");
          for await (const entries of tailLog(database, hub, request, context.signal)) {
            yield { events: entries.map(toMessage) };
          }
        },
      });
    },
  };
}

function toMessage({ event, place }: Pick<LogEntry, "event" | "place">): LoggedEvent {
  return create(LoggedEventSchema, { event, cursor: encodeCursor(place) });
}

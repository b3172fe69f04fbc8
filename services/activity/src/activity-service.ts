import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf, type Caller, type Reach } from "@openhermit/caller";
import { cutPage, pageSizeOf } from "@openhermit/paging";
import type { Database, MigrationSet, Sql, Subscription } from "@openhermit/postgres";
import {
  ActivityService as ActivityRpc,
  LoggedEventSchema,
  type LoggedEvent,
} from "@openhermit/protocol/activity/v1/activity_service";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { Log } from "@openhermit/telemetry";
import { batchEvents } from "./batch-events.ts";
import { toQuery } from "./event-query.ts";
import { ACTIVITY_CHANNEL, insertEvents, readAfter, readNewest, type LogEntry } from "./event-store.ts";
import { keyOfPageEnd, pageEndOf } from "./page-token.ts";
import { encodeCursor } from "./place.ts";
import { createTailHub } from "./tail-hub.ts";
import { tailLog } from "./tail-log.ts";
import { createRestoredLogTask } from "./tasks/adopt-restored-log.ts";

/** The tables of the activity log. */
export const activityMigrations: MigrationSet = {
  schema: "activity",
  directory: fileURLToPath(new URL("../migrations", import.meta.url)),
};

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
  /** Stores events of the gateway itself; those of one moment go together. Errors: DATABASE_UNAVAILABLE. */
  append(events: readonly Event[]): Promise<void>;
}

/** The hub reads the log once, and whole; each of its tails sees what is in its own reach. */
const WHOLE: Reach = { all: true, has: () => true, ids: () => [] };
const EVERYTHING = toQuery(undefined, WHOLE);

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

  const append = batchEvents(async (events) => {
    await database.query(insertEvents(events, instance));
    ingested(events);
  });

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
      if (events.length > 0) await append(events);
    },
    routes(router) {
      router.service(ActivityRpc, {
        async queryEvents({ filter, pageSize, pageToken }, context) {
          const query = toQuery(filter, reachOf(caller(context)));
          const size = pageSizeOf(pageSize);
          const found = await readNewest(database, query, pageEndOf(pageToken), size + 1);
          const { page, nextPageToken } = cutPage(found, size, ({ end }) => keyOfPageEnd(end));
          return { events: page.map(toMessage), nextPageToken };
        },

        async *tailEvents(request, context) {
          const who = caller(context);
          log.debug({ caller: callerName(who) }, "tail opened");
          for await (const entries of tailLog(database, hub, request, reachOf(who), context.signal)) {
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

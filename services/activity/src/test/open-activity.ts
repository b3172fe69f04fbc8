import { createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import type { Caller } from "@openhermit/caller";
import { ActivityService as ActivityRpc } from "@openhermit/protocol/activity/v1/activity_service";
import { testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { activityMigrations, createActivityService, type ActivityService } from "../activity-service.ts";

/** A log of its own, and who reads it. */
export interface OpenActivity {
  readonly db: TestDatabase;
  readonly service: ActivityService;
  readonly client: Client<typeof ActivityRpc>;
  close(): Promise<void>;
}

/** Opens an empty log; each call is made by whom `caller` says then. */
export async function openActivity(caller: () => Caller): Promise<OpenActivity> {
  const db = await testDatabase([activityMigrations]);
  const service = createActivityService({ database: db.database, log: testLog(), caller });
  service.start();
  return {
    db,
    service,
    client: createClient(ActivityRpc, createRouterTransport(service.routes)),
    async close() {
      await service.close();
      await db.drop();
    },
  };
}

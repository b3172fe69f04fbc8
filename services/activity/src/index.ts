export {
  activityMigrations,
  createActivityService,
  type ActivityService,
  type ActivityServiceOptions,
  type Caller,
} from "./activity-service.ts";

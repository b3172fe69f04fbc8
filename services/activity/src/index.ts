export {
  activityMigrations,
  createActivityService,
  type ActivityService,
  type ActivityServiceOptions,
} from "./activity-service.ts";

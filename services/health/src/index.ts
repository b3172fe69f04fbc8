export type { AgentView, DatabaseView } from "./fleet-health.ts";
export {
  createHealthService,
  healthMigrations,
  type HealthPorts,
  type HealthService,
  type HealthServiceOptions,
} from "./health-service.ts";

export { readConfig, type GatewayConfig } from "./config.ts";
export type { GatewayProgress, OnProgress } from "./progress.ts";
export { startGateway, type Gateway } from "./start-gateway.ts";

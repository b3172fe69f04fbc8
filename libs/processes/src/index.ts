export { isAlive, processIdentity, waitGone, type ProcessIdentity } from "./process-identity.ts";
export { killGroup, sweep, type KillGroupOptions, type KillTarget } from "./kill-group.ts";
export {
  OWNER_VARIABLE,
  spawnGroup,
  type ProcessExit,
  type ProcessGroup,
  type SpawnGroupOptions,
} from "./spawn-group.ts";

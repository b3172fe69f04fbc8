export { addressGroup } from "./address-group.ts";
export { agentNotFound } from "./agent-not-found.ts";
export { callerName, reachOf, type Caller, type Reach } from "./caller.ts";
export { type Change, type FieldChange, type RecordChanges } from "./change.ts";

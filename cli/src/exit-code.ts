/** How a command ends, for scripts. `health` has its own: 0 OK, 1 DEGRADED, 2 DOWN, 3 unknown. */
export const ExitCode = {
  ok: 0,
  error: 1,
  /** Of `diff` and `drift`: the fleet and the manifest differ. */
  differs: 2,
  loginNeeded: 4,
  /** Of `apply`: the plan is no longer that of the fleet; nothing was changed. */
  planStale: 5,
  interrupted: 130,
} as const;

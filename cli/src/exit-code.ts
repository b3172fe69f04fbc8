/** How a command ends, for scripts. `health` has its own: 0 OK, 1 DEGRADED, 2 DOWN, 3 unknown. */
export const ExitCode = {
  ok: 0,
  error: 1,
  loginNeeded: 4,
  interrupted: 130,
} as const;

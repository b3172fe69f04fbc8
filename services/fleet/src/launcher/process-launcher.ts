/** How sidecars are started on this host. */
export interface LauncherOptions {
  /** The gateway's home; sidecars live in `<home>/sidecars/<agent id>/`. */
  home: string;
  /** What starts a sidecar: the program and its arguments, for example `[process.execPath, "…/sidecar/src/main.ts"]`. */
  command: readonly [string, ...string[]];
  /** The gateway's environment. Only the variables a sidecar needs are taken from it. */
  environment: Readonly<Record<string, string | undefined>>;
  /** An open file descriptor whose end of file tells a sidecar that its supervisor is gone. */
  lifelineFd?: number;
  /** How long a sidecar that is told to stop may take for its turns, in milliseconds. Default 10,000. */
  drainGraceMs?: number;
}

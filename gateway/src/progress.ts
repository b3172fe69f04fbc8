/**
 * What the gateway tells the process that started it, one message a step, over IPC. `ms` is how long the step took,
 * in milliseconds.
 */
export type GatewayProgress =
  /** A step is done: the home is open, the database server is there, the port is open, the schema is up to date. */
  | { step: "home" | "database" | "migrations"; ms: number }
  /** The port is open. */
  | { step: "listening"; ms: number; url: string }
  /** Something takes long, for a person to read. */
  | { step: "note"; message: string }
  /** The database can't be reached; the gateway waits for it. */
  | { step: "waiting"; message: string }
  /**
   * All services run; `ms` counts from the start. The links are secrets and work once: one opens a browser session of the
   * local operator, the other makes the first owner and is there only while there is none.
   */
  | { step: "ready"; ms: number; loginUrl?: string; setupUrl?: string }
  /** It can't run; the process exits. */
  | { step: "failed"; message: string; hint: string; reason: string };

/** Takes the progress of a gateway. */
export type OnProgress = (progress: GatewayProgress) => void;

import type { Readable } from "node:stream";
import type { CliConfig } from "./config.ts";
import type { Gateway } from "./gateway-client.ts";
import type { Terminal } from "./output/terminal.ts";

/** What every verb gets: its surroundings, and no global of the process. */
export interface Cli {
  /** With the global flags applied. */
  readonly config: CliConfig;
  readonly terminal: Terminal;
  readonly stdin: Readable & { isTTY?: boolean };
  /**
   * Calls back on SIGINT, SIGTERM and SIGHUP, instead of ending the process. Returns how to stop that.
   * Without a listener the process ends with 130.
   */
  onInterrupt(listener: (signal: string) => void): () => void;
  /** The clients of the gateway; made once. Throws CliError when nobody says where it is. */
  gateway(): Promise<Gateway>;
  /** The same of this host's home, whatever context is the current one, unless another gateway was named. */
  hostGateway(): Promise<Gateway>;
  /** The code the process ends with when the verb returns. */
  setExitCode(code: number): void;
}

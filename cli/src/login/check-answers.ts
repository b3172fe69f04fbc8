import { connect } from "node:net";
import { CliError } from "../cli-error.ts";

/** How long a connection may take, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Finds out whether anybody listens at a URL, before a person is sent there. Throws CliError when nobody does. */
export async function checkAnswers(url: string): Promise<void> {
  const { protocol, hostname, port } = new URL(url);
  const socket = connect({
    // The brackets of an IPv6 address belong to the URL.
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    timeout: PATIENCE_MS,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("timeout", () => reject(new Error(`no connection within ${PATIENCE_MS / 1000} s`)));
      socket.once("error", reject);
    });
  } catch (error) {
    throw new CliError(`the gateway does not answer at ${url}`, {
      why: error instanceof Error ? error.message : String(error),
      next: "look at the URL; on this host bin/hermit up starts the gateway",
      cause: error,
    });
  } finally {
    socket.destroy();
  }
}

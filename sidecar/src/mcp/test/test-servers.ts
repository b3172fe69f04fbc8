import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";

/** A server as a snapshot has it. */
export type Server = MessageInitShape<typeof McpServerSchema>;

/** The programs of real servers, and of one that misbehaves as it is told. */
export const EVERYTHING = fileURLToPath(import.meta.resolve("@modelcontextprotocol/server-everything/dist/index.js"));
export const FILESYSTEM = fileURLToPath(import.meta.resolve("@modelcontextprotocol/server-filesystem/dist/index.js"));
export const MISBEHAVING = fileURLToPath(new URL("./misbehaving-server.mjs", import.meta.url));

type Timeouts = Pick<Server, "connectTimeout" | "callTimeout">;

/** A server of a Node program, with the variable CONFIGURED. */
export const stdio = (id: string, args: string[], more: Timeouts = {}): Server => ({
  id,
  transport: { case: "stdio", value: { command: "node", args, env: { CONFIGURED: "yes" } } },
  ...more,
});

/** The server `bad`, which misbehaves as the mode says. */
export const bad = (mode: string, more: Timeouts = {}, ...args: string[]): Server =>
  stdio("bad", [MISBEHAVING, mode, ...args], more);

/** A port of this host that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** The processes that carry the marker, or one that begins with it. */
export function childrenOf(owner: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`OPENHERMIT_OWNER=${owner}`);
    } catch {
      return false;
    }
  });
}

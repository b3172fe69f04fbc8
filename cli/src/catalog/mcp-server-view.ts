import { durationText } from "@openhermit/duration-text";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { quoted } from "../manifest/manifest-source.ts";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { ageText, minuteText } from "../output/time-text.ts";
import { assignedText, usersText } from "./agent-target.ts";
import { shownSecret } from "./secret-words.ts";

/** How the server is reached: its command line, or its URL. */
export function transportText({ transport }: McpServer): string {
  switch (transport.case) {
    case "stdio":
      return [transport.value.command, ...transport.value.args].map(quoted).join(" ");
    case "http":
      return transport.value.url;
    case undefined:
      return "";
  }
}

/** The columns of a list of servers. */
export function mcpServerColumns(terminal: Terminal): Column<McpServer>[] {
  return [
    { title: "SERVER", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "AGENTS", text: assignedText },
    { title: "CHANGED", optional: true, text: ({ updateTime }) => `${ageText(updateTime)} ago` },
    { title: "COMMAND OR URL", text: transportText },
  ];
}

/** All of one server as lines of title and value. What may be secret is not shown. */
export function mcpServerRows(server: McpServer): [string, string][] {
  const { id, transport, connectTimeout, callTimeout } = server;
  return [
    ["Server", id],
    ["Used by", usersText(server)],
    [transport.case === "http" ? "URL" : "Command", transportText(server)],
    ["Environment", transport.case === "stdio" ? pairsText(transport.value.env) : ""],
    ["Headers", transport.case === "http" ? pairsText(transport.value.headers) : ""],
    ["Connects within", connectTimeout ? durationText(connectTimeout) : "30s (built in)"],
    ["Calls end within", callTimeout ? durationText(callTimeout) : "2m (built in)"],
    ["Added", minuteText(server.createTime)],
    ["Changed", minuteText(server.updateTime)],
  ];
}

/** `NAME=value`; of a value that is not sent, or may be secret, the name alone says that there is one. */
const pairsText = (pairs: Readonly<Record<string, string>>): string =>
  Object.entries(pairs)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === "" ? name : `${name}=${shownSecret(name, value)}`))
    .join(", ");

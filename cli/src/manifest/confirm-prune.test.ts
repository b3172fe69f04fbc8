import { create } from "@bufbuild/protobuf";
import { ChangeAction, ChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import type { Cli } from "../cli.ts";
import { readConfig } from "../config.ts";
import { createTerminal } from "../output/terminal.ts";
import { confirmDeletions } from "./confirm-prune.ts";

const deletions = (count: number, type = "agent") =>
  Array.from({ length: count }, (_, index) =>
    create(ChangeSchema, { action: ChangeAction.DELETE, resourceType: type, resourceId: `n${index + 1}` }),
  );

/** Asks a person who types this. */
async function asking(changes: ReturnType<typeof deletions>, typed: string) {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stderr = Object.assign(new PassThrough(), { isTTY: true });
  let said = "";
  stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const cli: Cli = {
    config: readConfig({}),
    terminal: createTerminal({ stdout: new PassThrough(), stderr, color: "never", noColor: true }),
    stdin,
    onInterrupt: () => () => undefined,
    gateway: () => Promise.reject(new Error("is not asked")),
    hostGateway: () => Promise.reject(new Error("is not asked")),
    setExitCode: () => undefined,
  };
  stdin.write(`${typed}\n`);
  const outcome = await confirmDeletions(cli, changes, "again").then(
    () => "agreed",
    (error: { exitCode: number }) => error.exitCode,
  );
  return { outcome, said };
}

it("names what is deleted and takes a yes", async () => {
  const { outcome, said } = await asking([...deletions(2), ...deletions(1, "skill")], "yes");
  expect(outcome).toBe("agreed");
  expect(said).toBe("This deletes:\n  agent n1\n  agent n2\n  skill n1\n");
});

it.each(["", "no", "y", "2"])("does not go on for %j", async (typed) => {
  expect((await asking(deletions(2), typed)).outcome).toBe(130);
});

it("takes for more than 5 agents their number alone", async () => {
  expect((await asking(deletions(6), "yes")).outcome).toBe(130);
  expect((await asking(deletions(6), "6")).outcome).toBe("agreed");
  expect((await asking(deletions(7, "skill"), "yes")).outcome).toBe("agreed");
  expect((await asking(deletions(40), "40")).said).toContain("  agent n12\n  28 more\n");
});

it("asks nothing when nothing is deleted", async () => {
  const created = create(ChangeSchema, { action: ChangeAction.CREATE, resourceType: "agent", resourceId: "one" });
  expect(await asking([created], "no")).toEqual({ outcome: "agreed", said: "" });
});

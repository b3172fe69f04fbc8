import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { useManifestFolder } from "../test/manifest-gateway.ts";
import { runHermit } from "../test/run-hermit.ts";

const { path } = useManifestFolder();

it("prints the schema or writes it to a file, without a gateway", async () => {
  const printed = await runHermit(["schema"]);
  expect(printed).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(printed.stdout)).toMatchObject({ properties: { agents: {}, mcpServers: {}, skills: {} } });
  const written = await runHermit(["schema", "--out", path("s.json")]);
  expect(written).toEqual({ code: 0, stdout: "", stderr: `written to ${path("s.json")}\n` });
  expect(readFileSync(path("s.json"), "utf8")).toBe(printed.stdout);
  const refused = await runHermit(["schema", "--out", path("none/s.json")]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("its folder does not exist") });
});

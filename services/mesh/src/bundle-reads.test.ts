import { create } from "@bufbuild/protobuf";
import {
  ReadBundleRequestSchema,
  type ReadBundleRequest,
  type ReadBundleResponse,
} from "@openhermit/protocol/mesh/v1/link_service";
import { waitFor } from "@openhermit/testing";
import { expect, test } from "vitest";
import { createBundleReads } from "./bundle-reads.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const request = (agentId: string): ReadBundleRequest => create(ReadBundleRequestSchema, { agentId, digest: DIGEST });
const hosts = (sidecarId: string, ...agentIds: string[]) => ({ sidecarId, agentIds });
const forever = new AbortController().signal;

async function whole(parts: AsyncIterable<ReadBundleResponse>): Promise<Buffer> {
  const data: Uint8Array[] = [];
  for await (const part of parts) data.push(part.data);
  return Buffer.concat(data);
}

test("a bundle comes whole, in parts of at most 256 KiB, and only as fast as it is read", async () => {
  const bundle = Buffer.from(Array.from({ length: 600_001 }, (_, i) => i % 251));
  const reads = createBundleReads({ read: async () => bundle });
  const sizes: number[] = [];
  const parts: Uint8Array[] = [];
  for await (const { data } of reads.serve(request("one"), hosts("s", "one"), forever)) {
    sizes.push(data.length);
    parts.push(data);
  }
  expect(sizes).toEqual([262_144, 262_144, 75_713]);
  expect(Buffer.concat(parts).equals(bundle)).toBe(true);
});

test("another sidecar's agent, and a bundle that the agent does not have, are not there", async () => {
  const asked: string[] = [];
  const reads = createBundleReads({
    async read(agentId) {
      asked.push(agentId);
      return undefined;
    },
  });
  const reason = (parts: AsyncIterable<ReadBundleResponse>) =>
    whole(parts).then(
      () => "ok",
      (error: unknown) => (error as { reason?: string }).reason,
    );
  expect(await reason(reads.serve(request("two"), hosts("s", "one"), forever))).toBe("BUNDLE_NOT_FOUND");
  expect(asked).toEqual([]);
  expect(await reason(reads.serve(request("one"), hosts("s", "one"), forever))).toBe("BUNDLE_NOT_FOUND");
  expect(asked).toEqual(["one"]);
});

test("a few are read at once, of one sidecar fewer, and who leaves makes room, however it leaves", async () => {
  const asked: string[] = [];
  const reads = createBundleReads({
    async read(agentId) {
      asked.push(agentId);
      if (agentId === "broken") throw new Error("the database is away");
      return Buffer.alloc(300_000);
    },
  });
  // One sidecar hogs: two of its reads hold a place and are not read on, the third waits and is given up.
  const hog = ["h1", "h2", "h3"].map((agentId) => {
    const left = new AbortController();
    return { left, parts: reads.serve(request(agentId), hosts("hog", "h1", "h2", "h3"), left.signal) };
  });
  const firsts = hog.map(({ parts }) => parts.next());
  await Promise.all(firsts.slice(0, 2));
  expect(asked).toEqual(["h1", "h2"]);
  hog[2]?.left.abort(new Error("gone"));
  await expect(firsts[2]).rejects.toThrow("gone");

  // Seven others: six find a place beside it.
  const others = Array.from({ length: 7 }, (_, i) =>
    reads.serve(request(`o${i}`), hosts(`other-${i}`, `o${i}`), forever),
  );
  const begun = others.map((parts) => parts.next());
  await waitFor(() => asked.length === 8, { what: "eight reads" });
  await Promise.all(begun.slice(0, 6));
  expect(asked.slice(2)).toEqual(["o0", "o1", "o2", "o3", "o4", "o5"]);

  // One leaves in the middle, and the next comes in; then one that fails does not keep its place.
  await others[0]?.return(undefined);
  await begun[6];
  expect(asked.at(-1)).toBe("o6");
  await Promise.all(
    [...others.slice(1), ...hog.slice(0, 2).map(({ parts }) => parts)].map((parts) => parts.return(undefined)),
  );
  for (let i = 0; i < 20; i++) {
    await expect(whole(reads.serve(request("broken"), hosts("s", "broken"), forever))).rejects.toThrow("away");
  }
  expect((await whole(reads.serve(request("fine"), hosts("s", "fine"), forever))).length).toBe(300_000);
});

test("a read that takes longer than five minutes ends and says so", async () => {
  let nowMs = 0;
  const reads = createBundleReads({ read: async () => Buffer.alloc(600_000), now: () => nowMs });
  const parts = reads.serve(request("one"), hosts("s", "one"), forever);
  await parts.next();
  nowMs = 299_000;
  await parts.next();
  nowMs = 301_000;
  await expect(parts.next()).rejects.toMatchObject({ reason: "BUNDLE_READ_SLOW" });
});

import { readFileSync } from "node:fs";
import { startFleet } from "./fixture/running-fleet.ts";
import { envelope, openSession, post2 } from "./fixture/raw-call.ts";
const fleet = await startFleet({ env: {}, manifest: "agents:\n  one: {model: offline/echo}\n" });
try {
  const bearer = { authorization: `Bearer ${readFileSync(fleet.home + "/operator-token", "utf8").trim()}` };
  const SEND = "/openhermit.sessions.v1.SessionService/SendMessage";
  console.log(fleet.gatewayPid());
  const session = openSession(fleet.url);
  const t = async (name: string, h: object, b: Buffer) => {
    const s = performance.now();
    const r = await Promise.race([
      post2(session, SEND, { ...bearer, ...h }, b).catch((e) => e),
      new Promise((r) => setTimeout(r, 4000, "HANG")),
    ]);
    console.log(
      name,
      Math.round(performance.now() - s),
      r instanceof Error
        ? r
        : r === "HANG"
          ? r
          : [
              (r as any).status,
              (r as any).trailers["grpc-status"],
              (r as any).headers["grpc-status"],
              (r as any).body.toString().slice(0, 200),
            ],
    );
  };
  const small = (n: string) =>
    t(n, { "content-type": "application/connect+json" }, envelope(0, JSON.stringify({ agentId: "one", message: "x" })));
  await t("grpc5", { "content-type": "application/grpc" }, envelope(0, Buffer.alloc(5 << 20)));
  await small("small");
  const lying = envelope(0, Buffer.alloc(16));
  lying.writeUInt32BE(0xffff_fff0, 1);
  await t("lying", { "content-type": "application/grpc" }, lying);
  await small("small");
  await t(
    "connect5",
    { "content-type": "application/connect+json" },
    envelope(0, JSON.stringify({ agentId: "one", message: "x".repeat(5 << 20) })),
  );
  await small("small");
  await new Promise((r) => setTimeout(r, 300));
  await small("small later");
} finally {
  await fleet.dispose();
}
process.exit(0);

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { permissionDenied } from "@openhermit/errors";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { expect, test } from "vitest";

import { serveCalls } from "../test/serve-calls.ts";

const proof = { publicKey: new Uint8Array(32), nonce: "n", signature: new Uint8Array(64) };

test("who fails at an address keeps nobody else there from joining or coming in, and is limited", async () => {
  const served = await serveCalls((router) => {
    router.service(EnrollmentService, {
      join({ joinToken }) {
        if (joinToken !== "right") throw permissionDenied("JOIN_TOKEN_INVALID", "wrong");
        return {};
      },
    });
    router.service(LoginService, {
      acceptInvite({ code }) {
        if (code !== "right") throw permissionDenied("CODE_INVALID", "wrong");
        return {};
      },
    });
  });
  const enrollment = createClient(EnrollmentService, served.as());
  const logins = createClient(LoginService, served.as());
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => "ok",
      (error: unknown) => Code[ConnectError.from(error).code],
    );
  for (const [attempt, limit] of [
    [(secret: string) => codeOf(enrollment.join({ joinToken: secret, proof })), 60],
    [(secret: string) => codeOf(logins.acceptInvite({ code: secret, password: "a password of a person" })), 10],
  ] as const) {
    for (let round = 0; round < limit; round += 1) expect(await attempt("wrong")).toBe("PermissionDenied");
    expect(await attempt("wrong")).toBe("ResourceExhausted");
    expect(await attempt("right")).toBe("ok");
  }
  await served.close();
});

import { unavailable, type MeshError } from "@openhermit/errors";

/** The error of a check that can't be made: whoever was let in a while ago might not be let in now. */
export function accessUnavailable(): MeshError {
  return unavailable("ACCESS_UNAVAILABLE", "the gateway can't check credentials: its database is away", {
    hint: "Try again in a moment; the gateway reconnects by itself. The operator token of the host works meanwhile.",
  });
}

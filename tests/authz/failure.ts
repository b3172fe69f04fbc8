import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";

/** `NotFound AGENT_NOT_FOUND`, or `ok`. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return `${Code[error.code]} ${error.findDetails(ErrorDetailSchema)[0]?.reason ?? error.rawMessage}`;
  }
}

/** The message of a call that must fail. */
export async function messageOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    return ConnectError.from(thrown).rawMessage;
  }
  throw new Error("the call went well");
}

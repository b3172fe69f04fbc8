import { ProtocolError, SdkError, SdkErrorCode } from "@modelcontextprotocol/client";
import { errorSentence } from "./error-sentence.ts";
import type { StrikeOut } from "./secret-values.ts";

/** What a model is told about a call that failed without an answer of the tool. */
export function callErrorText(server: string, error: unknown, timeoutMs: number, strikeOut: StrikeOut): string {
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
    return `The MCP server "${server}" did not answer within ${timeoutMs / 1000} s; the call was cancelled and its outcome is unknown.`;
  }
  if (error instanceof SdkError && error.code === SdkErrorCode.ConnectionClosed) {
    return `The MCP server "${server}" ended during the call; its outcome is unknown. It is being started again.`;
  }
  if (error instanceof ProtocolError) {
    return `The MCP server "${server}" refused the call: ${strikeOut(error.message)}`;
  }
  return `The call of the MCP server "${server}" failed: ${errorSentence(error, strikeOut)}`;
}

export { SCRIPTED_SIGNATURE, type ScriptedAnswer } from "./scripted-answer.ts";
export {
  startScriptedModel,
  type Script,
  type ScriptedModel,
  type ScriptedModelOptions,
  type ScriptedProtocol,
  type ScriptedRequest,
  type ScriptedRequestBody,
} from "./scripted-model.ts";
export { temporaryDirectory, type TemporaryDirectory } from "./temporary-directory.ts";
export { testCaller, type TestCaller } from "./test-caller.ts";
export { testDatabase, type TestDatabase } from "./test-database.ts";
export { testLog, type TestLog } from "./test-log.ts";
export { waitFor, type WaitOptions } from "./wait-for.ts";

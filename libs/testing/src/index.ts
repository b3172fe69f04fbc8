export type { ScriptedAnswer } from "./scripted-answer.ts";
export {
  startScriptedModel,
  type Script,
  type ScriptedModel,
  type ScriptedModelOptions,
  type ScriptedRequest,
  type ScriptedRequestBody,
} from "./scripted-model.ts";

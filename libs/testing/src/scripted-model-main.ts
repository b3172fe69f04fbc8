// The scripted model as a process of its own, for benchmarks: `node scripted-model-main.ts '{"text":"…","deltas":20}'`.
// Prints {"baseUrl":"…"} and runs until its standard input ends.
import type { ScriptedAnswer } from "./scripted-answer.ts";
import { startScriptedModel } from "./scripted-model.ts";

const always = JSON.parse(process.argv[2] ?? "{}") as ScriptedAnswer;
const model = await startScriptedModel({ always, log: false });
process.stdout.write(`${JSON.stringify({ baseUrl: model.baseUrl })}\n`);
process.stdin.resume();
process.stdin.once("end", () => void model.close().then(() => process.exit(0)));

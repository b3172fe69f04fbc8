import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { readConfig, repositoryRoot } from "./config.ts";
import { createInterrupts } from "./interrupts.ts";
import { createTerminal } from "./output/terminal.ts";
import { runProgram } from "./program.ts";

// Without bin/hermit, which sets NODE_COMPILE_CACHE, the same cache is used from here on.
enableCompileCache(join(repositoryRoot, ".cache/node"));

const interrupts = createInterrupts(() => process.exit(130));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupts.raise(signal));

// A reader that goes away, as `head` does, ends the command without words.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
}

process.exitCode = await runProgram({
  args: process.argv.slice(2),
  readConfig: () => readConfig(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  createTerminal,
  onInterrupt: interrupts.listen,
});
// Nothing may hold the process once its work is done; what is written is flushed first.
process.stdout.write("", () => process.stderr.write("", () => process.exit()));

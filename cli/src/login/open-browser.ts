import { spawn } from "node:child_process";

/** Opens a page in the browser of this machine, if there is one. Never fails: the person has the link as well. */
export function openBrowser(url: string): void {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(program, [url], { detached: true, stdio: "ignore" });
  child.once("error", () => undefined);
  child.unref();
}

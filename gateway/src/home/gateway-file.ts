import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a gateway says of itself to programs on the same host. */
export interface GatewayFile {
  /** Where it listens. */
  url: string;
  pid: number;
  version: string;
}

/** Writes `<home>/gateway.json`, whole or not at all. */
export async function writeGatewayFile(home: string, content: GatewayFile): Promise<void> {
  const path = gatewayFilePath(home);
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, `${JSON.stringify(content)}\n`, { mode: 0o600 });
  await rename(draft, path);
}

/** Removes the file, unless another gateway has written its own in the meantime. */
export async function removeGatewayFile(home: string, pid: number): Promise<void> {
  const path = gatewayFilePath(home);
  try {
    const content = JSON.parse(await readFile(path, "utf8")) as Partial<GatewayFile>;
    if (content.pid === pid) {
      await rm(path, { force: true });
    }
  } catch {
    // It is gone already, or it is not ours.
  }
}

function gatewayFilePath(home: string): string {
  return join(home, "gateway.json");
}

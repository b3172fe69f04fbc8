import { readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { failedPrecondition } from "@openhermit/errors";

/** Another user of this host that the server runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Who runs the server when this process is root: PostgreSQL refuses to run as root. */
const CANDIDATES = ["postgres", "nobody"];

/**
 * The account the server must run as: undefined for this process's own, which is right unless it is root.
 *
 * @param dataDirectory when it exists, root takes its owner.
 */
export async function serverAccount(dataDirectory: string | undefined): Promise<Account | undefined> {
  const uid = process.getuid?.();
  if (dataDirectory !== undefined) {
    const owner = await stat(dataDirectory);
    if (uid === 0 && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
    if (uid !== undefined && uid !== 0 && owner.uid !== uid) {
      throw failedPrecondition(
        "EMBEDDED_POSTGRES_OWNER",
        `the embedded database in ${dataDirectory} belongs to another user (uid ${owner.uid})`,
        { hint: "Start as root or as that user, or choose another home with --home." },
      );
    }
  }
  if (uid !== 0) return undefined;
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));
  for (const name of CANDIDATES) {
    const [, , accountUid, accountGid] = lines.find(([lineName]) => lineName === name) ?? [];
    if (Number(accountUid) > 0) return { uid: Number(accountUid), gid: Number(accountGid) };
  }
  throw failedPrecondition(
    "EMBEDDED_POSTGRES_ACCOUNT",
    "PostgreSQL does not run as root, and this host has neither a user postgres nor a user nobody",
    { hint: "Start as another user, or name a database with --database-url." },
  );
}

const READ = 4;
const EXECUTE = 1;

/** Whether the account may read the file, and pass every folder above it. Looks at mode bits, not at access lists. */
export async function canRead(account: Account | undefined, file: string, executable = false): Promise<boolean> {
  return permits(account, file, executable ? READ | EXECUTE : READ);
}

/** Whether the account may pass the folder and every folder above it. */
export async function canPass(account: Account | undefined, folder: string): Promise<boolean> {
  return permits(account, folder, EXECUTE);
}

async function permits(account: Account | undefined, path: string, bits: number): Promise<boolean> {
  if (account === undefined) return true;
  let wanted = bits;
  for (let place = await realpath(path); ; place = dirname(place)) {
    const { mode, uid, gid } = await stat(place);
    const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0;
    if (((mode >> shift) & wanted) !== wanted) return false;
    if (place === dirname(place)) return true;
    wanted = EXECUTE;
  }
}

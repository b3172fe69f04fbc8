import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { canPass, serverAccount, type Account } from "./server-account.ts";

/** For data and programs that the server's account could not reach in the home. */
export const SHARED_DIRECTORY = "/var/lib/openhermit";

/** In a folder of {@link SHARED_DIRECTORY}: the directory of the server it belongs to, and that directory's disk. */
const HOME_FILE = "home";

/** What is remembered of an embedded server between its starts, in `<directory>/server.json` (0600). */
export interface ServerRecord {
  /** The data directory. */
  data: string;
  /** Of the superuser, who owns all tables. */
  password: string;
  /** Of the ordinary role; a home of an earlier version gets it at its next start. */
  servicePassword: string;
  /** The port of the last start, used again when free. 0 before the first. */
  port: number;
  /** Whether the database was made. */
  ready: boolean;
}

/** The files of one embedded server. */
export interface ServerFiles {
  readonly account: Account | undefined;
  readonly record: ServerRecord;
  /** Where the record stands. */
  readonly recordFile: string;
  readonly logFile: string;
  /** Remembers changes of the record. */
  save(): Promise<void>;
}

/** Whether the path lies in the folder. */
export function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder + sep);
}

/** Whether the folder holds a complete database. */
export async function isCluster(data: string): Promise<boolean> {
  return stat(join(data, "PG_VERSION")).then(
    () => true,
    () => false,
  );
}

/** Opens the folder, or lays it out: decides where the data stand and who owns them. */
export async function openServerFiles(directory: string): Promise<ServerFiles> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const recordFile = join(directory, "server.json");
  const known = await readRecord(recordFile);
  const account = await serverAccount(known !== undefined && (await isCluster(known.data)) ? known.data : undefined);
  // The account passes through to its data; every file here has a mode of its own.
  if (account !== undefined) await chmod(directory, 0o711);
  const record: ServerRecord = {
    servicePassword: newPassword(),
    ...(known ?? { data: await placeData(account, directory), password: newPassword(), port: 0, ready: false }),
  };
  const files: ServerFiles = {
    account,
    record,
    recordFile,
    logFile: join(directory, "server.log"),
    async save() {
      await writeFile(`${recordFile}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
      await rename(`${recordFile}.new`, recordFile);
    },
  };
  if (known?.servicePassword === undefined) await files.save();
  // After the record, for without one the data would count as left behind.
  if (known === undefined && !isInside(record.data, directory)) {
    const owner = `${directory}\n${await diskOf(directory)}\n`;
    await writeFile(join(dirname(record.data), HOME_FILE), owner, { mode: 0o600 });
  }
  return files;
}

/** Whose data stand in a folder of {@link SHARED_DIRECTORY}; empty words when it does not say. */
export async function ownerOf(place: string): Promise<{ directory: string; disk: string }> {
  const text = await readFile(join(place, HOME_FILE), "utf8").catch(() => "");
  const [directory = "", disk = ""] = text.split("\n");
  return { directory, disk };
}

/** What tells the disk that holds the folder from another one mounted at the same path. */
export async function diskOf(directory: string): Promise<string> {
  return String((await stat(directory)).dev);
}

/** As it stands in the file: an earlier version knew one password. */
type StoredRecord = Omit<ServerRecord, "servicePassword"> & Partial<ServerRecord>;

async function readRecord(file: string): Promise<StoredRecord | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as StoredRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function newPassword(): string {
  return randomBytes(32).toString("base64url");
}

async function placeData(account: Account | undefined, directory: string): Promise<string> {
  if (await canPass(account, directory)) return join(directory, "data");
  // A name of its own for each new home: what an earlier home at this path left there is not its database.
  const place = join(SHARED_DIRECTORY, randomBytes(8).toString("hex"));
  await mkdir(SHARED_DIRECTORY, { recursive: true, mode: 0o755 });
  await mkdir(place, { mode: 0o700 });
  if (account !== undefined) await chown(place, account.uid, account.gid);
  return join(place, "data");
}

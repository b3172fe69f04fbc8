// complete-lock [--check]: writes into package-lock.json the optional packages that npm left out. npm drops those that
// the registry it asked does not hold, as a mirror of one platform; after that `npm ci` refuses the lock file, here and
// everywhere. Run it after each `npm install`. With --check it changes nothing and ends with 1 when one is missing.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface LockEntry {
  dev?: boolean;
  optionalDependencies?: Record<string, string>;
}

const file = join(import.meta.dirname, "../package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockEntry> };

const OPERATING_SYSTEMS = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const PROCESSORS: Readonly<Record<string, string>> = {
  aarch64: "arm64",
  arm: "arm",
  arm64: "arm64",
  armv7: "arm",
  ia32: "ia32",
  loong64: "loong64",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  wasm32: "wasm32",
  x64: "x64",
};

/** What the lock file says of a package for one platform, read from its name: `@oxfmt/binding-linux-arm64-musl`. */
function entryOf(name: string, version: string, dev: boolean): LockEntry & Record<string, unknown> {
  const words = name.split(/[/-]/);
  const system = words.find((word) => OPERATING_SYSTEMS.includes(word));
  const processor = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
  if (processor === undefined || !/^\d+\.\d+\.\d+[-+.\w]*$/.test(version)) {
    throw new Error(`package-lock.json lacks ${name}@${version}, which names no platform: add it by hand`);
  }
  const musl = words.some((word) => word.startsWith("musl"));
  return {
    version,
    cpu: [processor],
    ...(dev && { dev }),
    ...(system === "linux" && (musl || words.includes("gnu")) && { libc: [musl ? "musl" : "glibc"] }),
    optional: true,
    ...(system !== undefined && { os: [system] }),
  };
}

/** Whether the package in `from` finds the other one: in its own folder, or in one above. */
function isKnown(from: string, name: string): boolean {
  for (let place = from; place !== "";) {
    if (lock.packages[`${place}/node_modules/${name}`] !== undefined) return true;
    place = place.slice(0, Math.max(0, place.lastIndexOf("node_modules/") - 1));
  }
  return lock.packages[`node_modules/${name}`] !== undefined;
}

const missing: string[] = [];
for (const [place, { optionalDependencies = {}, dev = false }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (isKnown(place, name)) continue;
    missing.push(`${name}@${version}`);
    lock.packages[`node_modules/${name}`] = entryOf(name, version, dev);
  }
}
if (missing.length > 0 && process.argv.includes("--check")) {
  process.stderr.write(`package-lock.json lacks ${missing.join(", ")}: run npm run complete-lock\n`);
  process.exitCode = 1;
} else if (missing.length > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en")));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`added ${missing.length} packages to package-lock.json\n`);
}

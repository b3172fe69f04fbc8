import { failedPrecondition, MeshError, toError } from "@openhermit/errors";
import type { Log } from "@openhermit/telemetry";
import type { Database, Queryable } from "./database.ts";
import { isRetryable } from "./database-error.ts";
import { grantRights } from "./grant-rights.ts";
import { readMigrationFiles, type MigrationFile, type MigrationSet } from "./migration-files.ts";
import { quoteName, rawSql, sql } from "./sql.ts";

/** The key of the advisory lock: "openherm" as a number. */
const LOCK = 0x6f70656e6865726dn;

interface Applied {
  domain: string;
  number: number;
  name: string;
  checksum: string;
}

interface Domain {
  readonly schema: string;
  readonly files: readonly MigrationFile[];
}

/**
 * Brings the database to the version of this program: runs the files that it has not seen, each with its domain's
 * schema first in the search path, all in one transaction. Gateways that start at once wait for each other.
 *
 * `sets` is all that this program knows: a migration in the database that stands in none of them means a newer program.
 *
 * `serviceRole` is the role that the services work with, where it is another one than that of `database`. It gets the rights
 * to read and write the rows of all sets, and no more; only to read and add those of `appendOnly` tables.
 *
 * Errors: DATABASE_NEWER, MIGRATION_CHANGED, DATABASE_PERMISSION (all failed_precondition), DATABASE_UNAVAILABLE.
 */
export async function migrate(
  database: Database,
  sets: readonly MigrationSet[],
  log: Log,
  serviceRole?: string,
): Promise<void> {
  const domains: Domain[] = await Promise.all(
    sets.map(async (set) => ({ schema: set.schema, files: await readMigrationFiles(set) })),
  );
  const run = async (tx: Queryable): Promise<string[]> => {
    await prepare(tx);
    const applied = await tx.query<Applied>(sql`SELECT domain, number, name, checksum FROM openhermit.migrations`);
    refuseNewer(applied.rows, domains);
    const count: string[] = [];
    for (const domain of domains) {
      const known = new Map(applied.rows.filter((row) => row.domain === domain.schema).map((row) => [row.number, row]));
      const pending = domain.files.filter((file) => !isApplied(file, known.get(file.number), domain));
      if (pending.length > 0) await apply(tx, domain, pending);
      count.push(...pending.map((file) => `${domain.schema}/${file.name}`));
    }
    if (serviceRole !== undefined) await grantRights(tx, sets, serviceRole);
    return count;
  };
  const done = await database.transaction(run).catch((error: unknown) => {
    throw permissionFault(error) ?? error;
  });
  if (done.length > 0) log.info({ migrations: done }, "database migrated");
}

/** What a database user that may not do this is told. */
function permissionFault(error: unknown): MeshError | undefined {
  const faults = error instanceof Error ? [error, error.cause] : [error];
  const denied = faults.find((fault) => (fault as { code?: unknown } | undefined)?.code === "42501");
  if (denied === undefined) return undefined;
  return failedPrecondition(
    "DATABASE_PERMISSION",
    `the database user may not prepare this database: ${toError(denied).message}`,
    {
      hint: "Make the user the owner of the database (ALTER DATABASE name OWNER TO user), or name its owner in OPENHERMIT_ADMIN_DATABASE_URL.",
      cause: error,
    },
  );
}

async function prepare(tx: Queryable): Promise<void> {
  // A second gateway waits here for as long as the first one works.
  await tx.query(rawSql(`SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(${LOCK})`));
  const { rows } = await tx.query(sql`SELECT 1 WHERE to_regclass('openhermit.migrations') IS NOT NULL`);
  if (rows.length > 0) return;
  await tx.query(
    rawSql(`CREATE SCHEMA IF NOT EXISTS openhermit;
      CREATE TABLE openhermit.migrations (
        domain text NOT NULL,
        number int NOT NULL,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (domain, number)
      )`),
  );
}

function refuseNewer(applied: readonly Applied[], domains: readonly Domain[]): void {
  const unknown = applied.find(
    (row) =>
      !domains.some(({ schema, files }) => schema === row.domain && files.some((file) => file.number === row.number)),
  );
  if (unknown === undefined) return;
  throw failedPrecondition(
    "DATABASE_NEWER",
    `the database belongs to a newer version of OpenHermit Mesh: it has the migration ${unknown.domain}/${unknown.name}, which this version does not know`,
    {
      hint: "Start the newer version, or restore a backup made with this one.",
      fields: { migration: `${unknown.domain}/${unknown.name}` },
    },
  );
}

function isApplied(file: MigrationFile, row: Applied | undefined, domain: Domain): boolean {
  if (row === undefined) return false;
  if (row.checksum === file.checksum) return true;
  throw failedPrecondition(
    "MIGRATION_CHANGED",
    `the migration ${domain.schema}/${file.name} was changed after this database had run it`,
    {
      hint: "Undo the change of that file and put it into a new migration; or start with a new database.",
      fields: { migration: `${domain.schema}/${file.name}` },
    },
  );
}

async function apply(tx: Queryable, domain: Domain, files: readonly MigrationFile[]): Promise<void> {
  const schema = quoteName(domain.schema);
  await tx.query(rawSql(`CREATE SCHEMA IF NOT EXISTS ${schema}; SET LOCAL search_path TO ${schema}, public`));
  for (const file of files) {
    try {
      await tx.query(rawSql(file.text));
    } catch (error) {
      if (error instanceof MeshError || isRetryable(error)) throw error;
      throw new Error(`migration ${domain.schema}/${file.name} failed`, { cause: error });
    }
    await tx.query(sql`
      INSERT INTO openhermit.migrations (domain, number, name, checksum)
      VALUES (${domain.schema}, ${file.number}, ${file.name}, ${file.checksum})`);
  }
  await tx.query(rawSql("SET LOCAL search_path TO DEFAULT"));
}

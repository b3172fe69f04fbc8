import type { Queryable } from "./database.ts";
import type { MigrationSet } from "./migration-files.ts";
import { quoteName, rawSql, sql } from "./sql.ts";

/**
 * Gives a role the rights that services need, and takes those it must not have on append-only tables. Nothing else sees a
 * state between. Repeatable; run after each migration, for tables that are new.
 */
export async function grantRights(tx: Queryable, sets: readonly MigrationSet[], role: string): Promise<void> {
  const to = quoteName(role);
  const statements = [
    // So that this role alone can start a gateway whose database is up to date.
    `GRANT USAGE ON SCHEMA openhermit TO ${to}`,
    `GRANT SELECT ON openhermit.migrations TO ${to}`,
  ];
  for (const set of sets) {
    const schema = quoteName(set.schema);
    statements.push(
      `CREATE SCHEMA IF NOT EXISTS ${schema}`,
      `GRANT USAGE ON SCHEMA ${schema} TO ${to}`,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${to}`,
      `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${schema} TO ${to}`,
      `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${to}`,
    );
  }
  for (const table of appendOnlyTables(sets)) {
    // A partition is reached through its table; none has a right of its own.
    const partitions = await partitionsOf(tx, table);
    statements.push(
      `REVOKE ALL ON ${[table, ...partitions].join(", ")} FROM ${to}`,
      `GRANT SELECT, INSERT ON ${table} TO ${to}`,
    );
  }
  await tx.query(rawSql(statements.join(";\n")));
}

/**
 * The append-only tables that the role of this connection could change all the same: it owns them, or is a superuser, or
 * somebody gave it more than {@link grantRights} does.
 */
export async function changeableTables(database: Queryable, sets: readonly MigrationSet[]): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(sql`
    SELECT name FROM unnest(${appendOnlyTables(sets)}::text[]) AS name
    JOIN pg_class ON oid = to_regclass(name)
    WHERE pg_has_role(relowner, 'USAGE') OR has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE')`);
  return rows.map(({ name }) => name);
}

/** The role of this connection, and the database it is connected to. */
export async function readIdentity(database: Queryable): Promise<{ role: string; name: string }> {
  const { rows } = await database.query<{ role: string; name: string }>(
    sql`SELECT current_user::text AS role, current_database()::text AS name`,
  );
  return rows[0] as { role: string; name: string };
}

function appendOnlyTables(sets: readonly MigrationSet[]): string[] {
  return sets.flatMap(({ schema, appendOnly = [] }) =>
    appendOnly.map((table) => `${quoteName(schema)}.${quoteName(table)}`),
  );
}

async function partitionsOf(tx: Queryable, table: string): Promise<string[]> {
  const { rows } = await tx.query<{ schema: string; name: string }>(sql`
    SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM pg_partition_tree(to_regclass(${table})) AS p
    JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE p.level > 0`);
  return rows.map(({ schema, name }) => `${quoteName(schema)}.${quoteName(name)}`);
}

export { createDatabase, type Database, type DatabaseOptions, type Queryable } from "./database.ts";
export { type DatabaseStatus, type Subscription } from "./control-connection.ts";
export { isUniqueViolation } from "./database-error.ts";
export {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from "./embedded/embedded-postgres.ts";
export { changeableTables, readIdentity } from "./grant-rights.ts";
export { migrate } from "./migrate.ts";
export { type MigrationSet } from "./migration-files.ts";
export { joinSql, quoteName, rawSql, sql, type Sql } from "./sql.ts";

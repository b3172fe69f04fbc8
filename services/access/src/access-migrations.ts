import { join } from "node:path";
import type { MigrationSet } from "@openhermit/postgres";

/** The tables of access. */
export const accessMigrations: MigrationSet = {
  schema: "access",
  directory: join(import.meta.dirname, "../migrations"),
  appendOnly: ["audit_records", "audit_restores"],
};

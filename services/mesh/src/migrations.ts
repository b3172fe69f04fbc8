import { fileURLToPath } from "node:url";
import type { MigrationSet } from "@openhermit/postgres";

/** The tables of schema `mesh`. */
export const meshMigrations: MigrationSet = {
  schema: "mesh",
  directory: fileURLToPath(new URL("../migrations", import.meta.url)),
};

import { fileURLToPath } from "node:url";
import type { MigrationSet } from "@openhermit/postgres";

/** The tables of schema `sessions`. */
export const sessionsMigrations: MigrationSet = {
  schema: "sessions",
  directory: fileURLToPath(new URL("../migrations", import.meta.url)),
};

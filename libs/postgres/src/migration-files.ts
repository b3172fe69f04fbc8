import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The migrations of one domain. */
export interface MigrationSet {
  /** The domain's schema; also the domain's name in the list of applied migrations. */
  schema: string;
  /** The absolute folder of the files `0001-create-agents.sql`, `0002-…`. */
  directory: string;
  /** Tables, without the schema, that the services' role may only insert into and read; their partitions not even that. */
  appendOnly?: readonly string[];
}

/** One migration, as read from its file. */
export interface MigrationFile {
  readonly number: number;
  /** The file's name. */
  readonly name: string;
  readonly text: string;
  /** Of the text with unix line ends, SHA-256, hexadecimal. */
  readonly checksum: string;
}

const FILE_NAME = /^(\d{4})-[a-z0-9-]+\.sql$/;

/** Reads the migrations of a set, in the order of their numbers. Throws for a bad name or a number used twice. */
export async function readMigrationFiles(set: MigrationSet): Promise<MigrationFile[]> {
  const names = (await readdir(set.directory)).filter((name) => name.endsWith(".sql")).toSorted();
  const files = await Promise.all(
    names.map(async (name) => {
      const number = FILE_NAME.exec(name)?.[1];
      if (number === undefined) {
        throw new Error(`migration "${join(set.directory, name)}" must be named like 0001-create-agents.sql`);
      }
      const text = (await readFile(join(set.directory, name), "utf8")).replaceAll("\r\n", "\n");
      return { number: Number(number), name, text, checksum: createHash("sha256").update(text).digest("hex") };
    }),
  );
  files.forEach((file, i) => {
    if (file.number === files[i - 1]?.number) {
      throw new Error(`migration number ${file.number} of ${set.schema} is used twice: rename ${file.name}`);
    }
  });
  return files;
}

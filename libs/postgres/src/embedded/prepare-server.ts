import { Client } from "pg";
import { SERVER_DATABASE, SERVICE_USER } from "./cluster.ts";
import type { ServerRecord } from "./server-files.ts";

/** What the ordinary role is: it may log in, and nothing else. */
const ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS";

/**
 * Makes the database at the first start, and the ordinary role, also on a server of an earlier version, which had none. The
 * role gets its password at each start: a record that was put back from a backup may have another one.
 *
 * @param url of a database that every server has, as the superuser.
 */
export async function prepareServer(url: string, record: ServerRecord): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    if (!record.ready) {
      const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [SERVER_DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${SERVER_DATABASE}`);
    }
    const { rowCount } = await client.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [SERVICE_USER]);
    const verb = rowCount === 0 ? "CREATE" : "ALTER";
    await client.query(
      `${verb} ROLE ${SERVICE_USER} ${ATTRIBUTES} PASSWORD ${client.escapeLiteral(record.servicePassword)}`,
    );
  } finally {
    await client.end();
  }
}

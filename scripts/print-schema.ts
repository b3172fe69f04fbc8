// Prints docs/agents.schema.json: the JSON Schema of a manifest, from the shapes that services/manifest reads it with.
// Run by `npm run generate`; `npm run gen:check` prints it elsewhere.
import { writeFileSync } from "node:fs";
import { manifestSchemaText } from "../services/manifest/src/manifest-json-schema.ts";

const [target = new URL("../docs/agents.schema.json", import.meta.url).pathname] = process.argv.slice(2);
writeFileSync(target, manifestSchemaText());

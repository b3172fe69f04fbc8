import { types, type CustomTypesConfig } from "pg";

type Parser = (text: string) => unknown;
/** The part of pg's types that is used here, with plain numbers: their enum lacks xid8. */
type ParserOf = (oid: number, format?: "text" | "binary") => Parser;

const INT8 = 20;
const INT8_ARRAY = 1016;
const XID8 = 5069;
const DATE = 1082;
const TEXT_ARRAY = 1009;

const builtin = types.getTypeParser as unknown as ParserOf;
const parseTextArray = builtin(TEXT_ARRAY) as (text: string) => (string | null)[];

const own = new Map<number, Parser>([
  [INT8, BigInt],
  [XID8, BigInt],
  [INT8_ARRAY, (text) => parseTextArray(text).map((item) => (item === null ? null : BigInt(item)))],
  [DATE, (text) => text],
]);

const parserOf: ParserOf = (oid, format = "text") =>
  (format === "text" ? own.get(oid) : undefined) ?? builtin(oid, format);

/**
 * How columns become values: `bigint` and `xid8` are bigints (so is `count(*)`: cast to int where a number is meant),
 * `timestamptz` a Date (milliseconds), `date` and `numeric` text, `json` and `jsonb` parsed, `bytea` a Buffer.
 */
export const valueTypes: CustomTypesConfig = { getTypeParser: parserOf };

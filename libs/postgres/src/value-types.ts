import { types, type CustomTypesConfig } from "pg";

const INT8 = 20;
const INT8_ARRAY = 1016;
const XID8 = 5069;
const DATE = 1082;

const TEXT_ARRAY = 1009;

const parseTextArray = types.getTypeParser(TEXT_ARRAY as typeof types.builtins.TEXT, "text") as (
  text: string,
) => (string | null)[];

function parserOf(oid: number): ((text: string) => unknown) | undefined {
  switch (oid) {
    case INT8:
    case XID8:
      return BigInt;
    case INT8_ARRAY:
      return (text) => parseTextArray(text).map((item) => (item === null ? null : BigInt(item)));
    case DATE:
      return (text) => text;
    default:
      return undefined;
  }
}

/**
 * How columns become values: `bigint` and `xid8` are bigints (so is `count(*)`: cast to int where a number is meant),
 * `timestamptz` a Date (milliseconds), `date` and `numeric` text, `json` and `jsonb` parsed, `bytea` a Buffer.
 */
export const valueTypes: CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    (format ?? "text") === "text"
      ? (parserOf(oid) ?? (types.getTypeParser(oid, "text") as unknown))
      : types.getTypeParser(oid, "binary")) as typeof types.getTypeParser,
};

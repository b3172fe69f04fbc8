export {
  flag,
  hostPort,
  integer,
  oneOf,
  optional,
  parseHostPort,
  text,
  url,
  type Field,
  type FieldOptions,
  type HostPort,
} from "./field.ts";
export { ConfigError, parseConfig, type ConfigOf, type Environment } from "./parse-config.ts";

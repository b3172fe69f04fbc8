export { createYamlParser, type YamlBounds, type YamlParser, type YamlResult } from "./yaml-parser.ts";

export { DURATION_PATTERN, durationText, parseDurationText } from "./duration-text.ts";

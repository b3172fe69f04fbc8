const DURATION = /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s)?(?:(\d{1,9})ms)?$/;

/** Reads `30s`, `2m`, `1h30m`, `1.5s`, `500ms` as milliseconds; undefined when the text is not a duration. */
export function parseDurationText(text: string): number | undefined {
  const parts = DURATION.exec(text);
  if (!parts || text === "") return undefined;
  const [, hours, minutes, seconds, milliseconds] = parts;
  return (
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes ?? 0) * 60_000 +
    Math.round(Number(seconds ?? 0) * 1000) +
    Number(milliseconds ?? 0)
  );
}

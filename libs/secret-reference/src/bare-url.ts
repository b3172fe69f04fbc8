/** A URL without its password and its query, in which keys are handed over; the text itself when it has neither, or is no URL. */
export function bareUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username + url.password + url.search + url.hash === "") return text;
  return `${url.protocol}//${url.host}${url.pathname}`;
}

const OWN = "http://own.invalid";

/**
 * Where to go after a login: a path of this gateway, whatever was asked for. Anything else, and the pages of the login
 * itself, become the front page.
 */
export function nextPath(asked: string): string {
  // Browsers drop tabs and line ends from a URL and read a backslash as a slash, so `/\evil` is another host.
  if (!/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(asked) || asked.length > 2_000) {
    return "/";
  }
  const url = URL.parse(asked, OWN);
  if (
    url === null ||
    url.origin !== OWN ||
    url.pathname.startsWith("//") ||
    /^\/log(in|out)(\/|$)/.test(url.pathname)
  ) {
    return "/";
  }
  return url.pathname + url.search;
}

// Over TLS the prefix makes browsers refuse a cookie that another host or plain text tries to set.
const fullName = (name: string, secure: boolean): string => (secure ? `__Host-${name}` : name);

/** The value of a cookie in a `cookie` header; undefined without one, or with two of that name. */
export function readCookie(header: string | undefined, name: string, secure: boolean): string | undefined {
  const prefix = `${fullName(name, secure)}=`;
  const values = (header ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(prefix))
    .map((pair) => pair.slice(prefix.length));
  return values.length === 1 ? values[0] : undefined;
}

/** A `set-cookie` header: no script reads the cookie, and no other site sends it with a form. */
export function cookie(name: string, value: string, maxAgeSeconds: number, secure: boolean): string {
  const age = Math.max(0, maxAgeSeconds);
  return `${fullName(name, secure)}=${value}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
}

/** The `set-cookie` header that takes a cookie out of the browser. */
export function endedCookie(name: string, secure: boolean): string {
  return cookie(name, "", 0, secure);
}

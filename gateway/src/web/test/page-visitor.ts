/** A browser as far as a test needs it: it keeps cookies and fills in forms; it follows no redirect. */
export interface PageVisitor {
  readonly cookies: Map<string, string>;
  /** GET, as a browser sends it. */
  open(path: string, init?: RequestInit): Promise<Visit>;
  /** Opens a page and sends the form with this action, with these fields besides the hidden ones. */
  submit(path: string, action: string, fields: Record<string, string>, init?: RequestInit): Promise<Visit>;
  /** POST of fields, as a browser sends a form of the gateway's own pages. */
  post(path: string, fields: Record<string, string>, init?: RequestInit): Promise<Visit>;
}

/** What came back. */
export interface Visit {
  readonly status: number;
  readonly headers: Headers;
  readonly location: string | null;
  readonly text: string;
}

/** Makes a visitor without cookies. */
export function createPageVisitor(url: string): PageVisitor {
  const cookies = new Map<string, string>();

  async function visit(path: string, init: RequestInit): Promise<Visit> {
    const headers = new Headers({
      accept: "text/html,*/*",
      cookie: [...cookies].map((pair) => pair.join("=")).join("; "),
    });
    for (const [name, value] of new Headers(init.headers)) headers.set(name, value);
    const response = await fetch(new URL(path, url), { ...init, headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      const at = pair.indexOf("=");
      if (line.includes("Max-Age=0;")) cookies.delete(pair.slice(0, at));
      else cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const text = await response.text();
    return { status: response.status, headers: response.headers, location: response.headers.get("location"), text };
  }

  const post: PageVisitor["post"] = (path, fields, init = {}) =>
    visit(path, {
      method: "POST",
      body: new URLSearchParams(fields).toString(),
      ...init,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        origin: new URL(url).origin,
        ...(init.headers as Record<string, string> | undefined),
      },
    });

  return {
    cookies,
    open: (path, init = {}) => visit(path, init),
    post,
    async submit(path, action, fields, init) {
      const { text } = await visit(path, {});
      return post(action, { ...hiddenFields(text, action), ...fields }, init);
    },
  };
}

/** The hidden fields of the form with this action. */
export function hiddenFields(page: string, action: string): Record<string, string> {
  const form = page.split("<form ").find((part) => part.includes(`action="${action}"`));
  if (form === undefined) throw new Error(`no form to ${action} in ${page}`);
  const body = form.slice(0, form.indexOf("</form>"));
  return Object.fromEntries(
    [...body.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name = "", value = ""]) => [
      name,
      value
        .replaceAll("&#39;", "'")
        .replaceAll("&quot;", '"')
        .replaceAll("&lt;", "<")
        .replaceAll("&gt;", ">")
        .replaceAll("&amp;", "&"),
    ]),
  );
}

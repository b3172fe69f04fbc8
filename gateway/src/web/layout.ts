import { html, type Html } from "./html.ts";

/** One page. */
export interface Page {
  title: string;
  /** What stands at the right of the name: who is logged in, how the fleet is. */
  aside?: Html | undefined;
  body: Html;
  /** Where its forms may lead besides the gateway itself, for example `http://127.0.0.1:4000`. */
  leadsTo?: string | undefined;
  /** After how many seconds the browser loads it again; undefined for never. */
  renewSeconds?: number | undefined;
}

/** The page as a document. */
export function document({ title, aside, body, renewSeconds }: Page): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${renewSeconds !== undefined && html`<meta http-equiv="refresh" content="${renewSeconds}" />`}
        <title>${title} · OpenHermit Mesh</title>
        <link rel="stylesheet" href="/assets/pages.css" />
      </head>
      <body>
        <header>
          <h1>OpenHermit Mesh</h1>
          ${aside}
        </header>
        ${body}
      </body>
    </html> `.html;
}

/** The page in the middle of which stands one thing to read or to do. */
export function card(title: string, content: Html): Html {
  return html`<main class="card">
    <h2>${title}</h2>
    ${content}
  </main>`;
}

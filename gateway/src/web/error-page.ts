import type { MeshError, ErrorCode } from "@openhermit/errors";

import { html, type Html } from "./html.ts";
import { card, type Page } from "./layout.ts";

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 409,
  conflict: 409,
  resource_exhausted: 429,
  unavailable: 503,
};

/** The HTTP status of an error. */
export function httpStatus(error: MeshError): number {
  return STATUS[error.code];
}

/** When to come back, seconds; undefined when waiting does not help. */
export function retryAfter(error: MeshError): number | undefined {
  if (error.code === "unavailable") {
    return 5;
  }
  const seconds = Number.parseInt(error.fields["retry_after_seconds"] ?? "", 10);
  return error.code === "resource_exhausted" ? Math.max(1, Number.isNaN(seconds) ? 60 : seconds) : undefined;
}

/** The page of an error: what happened and what to do next. */
export function errorPage(
  view: { title: string; message: string; hint?: string; requestId?: string },
  next: Html = html`<p><a href="/">To the front page</a></p>`,
): Page {
  return {
    title: view.title,
    body: card(
      view.title,
      html`<p class="reasons" role="alert">${sentence(view.message)}</p>
        ${view.hint !== undefined && view.hint !== "" && html`<p>${sentence(view.hint)}</p>`} ${next}
        ${view.requestId !== undefined && html`<small>Request <code>${view.requestId}</code></small>`}`,
    ),
  };
}

/** The page of a MeshError. One that only reads and heals by waiting loads itself again. */
export function meshErrorPage(error: MeshError, requestId: string, renews: boolean, next?: Html): Page {
  const seconds = retryAfter(error);
  const { message, hint } = error;
  switch (error.code) {
    case "unavailable": {
      const when = renews ? "This page tries again by itself." : "Go back and try again in a moment.";
      const page = errorPage({ title: "Not available now", message, hint, requestId }, next ?? html`<p>${when}</p>`);
      return { ...page, renewSeconds: renews ? seconds : undefined };
    }
    case "resource_exhausted":
      return errorPage({ title: "Too many attempts", message, hint: `try again in ${wait(seconds ?? 60)}`, requestId });
    case "not_found":
      return errorPage({ title: "Not found", message, hint, requestId });
    default:
      return errorPage({ title: "This did not work", message, hint, requestId }, next);
  }
}

/** Text of a MeshError as a sentence of a page. */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function wait(seconds: number): string {
  return seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

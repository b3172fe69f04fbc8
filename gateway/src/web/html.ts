/** A piece of HTML that is safe to send: every value in it was escaped. */
export interface Html {
  readonly html: string;
}

type Value = string | number | bigint | Html | readonly Html[] | undefined | false;

/** Writes HTML. Every value is escaped unless it is HTML already; undefined and false are left out. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  let text = strings[0] ?? "";
  for (const [index, value] of values.entries()) {
    text += render(value) + (strings[index + 1] ?? "");
  }
  return { html: text };
}

function render(value: Value): string {
  if (value === undefined || value === false) {
    return "";
  }
  if (typeof value === "object") {
    return "html" in value ? value.html : value.map((part) => part.html).join("");
  }
  // Control characters are dropped: what agents say is text, and nothing else.
  return String(value)
    .replace(/[\p{Cc}]/gu, " ")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;")
    .replace(/'/g, "&#39;");
}

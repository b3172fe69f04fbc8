import { html, type Html } from "./html.ts";

/** One field of a form. */
export interface FormField {
  name: string;
  label: string;
  type?: "text" | "password";
  /** What it is filled in with. Never a password. */
  value?: string;
  /** What browsers and password managers fill in: `username`, `current-password`, `new-password`, `name`, `off`. */
  autocomplete: string;
  /** What stands below the label. */
  hint?: string | undefined;
  /** What is wrong with what was sent. */
  error?: string | undefined;
  minLength?: number;
  maxLength: number;
  /** May be left empty. */
  optional?: boolean;
  /** Can't be changed. */
  readOnly?: boolean;
  /** Gets the focus when the page opens. At most one of a page. */
  focus?: boolean;
}

/** Writes a field with its label, its hint and its error, tied together for screen readers. */
export function formField(field: FormField): Html {
  const { name, hint, error } = field;
  const notes = [hint !== undefined && `${name}-hint`, error !== undefined && `${name}-error`]
    .filter(Boolean)
    .join(" ");
  // Names of members are typed as they are: no capital at the start, no correction.
  return html`<div class="field">
    <label for="${name}">${field.label}${field.optional && html` <span class="idle">(optional)</span>`}</label>
    ${hint !== undefined && html`<small id="${name}-hint">${hint}</small>`}
    ${error !== undefined && html`<p class="wrong" id="${name}-error"><span aria-hidden="true">✕</span> ${error}</p>`}
    <input
      id="${name}"
      name="${name}"
      type="${field.type ?? "text"}"
      value="${field.value ?? ""}"
      autocomplete="${field.autocomplete}"
      maxlength="${field.maxLength}"
      ${field.minLength !== undefined && html`minlength="${field.minLength}"`}
      ${notes !== "" && html`aria-describedby="${notes}"`}
      ${error !== undefined && html`aria-invalid="true"`}
      ${!field.optional && html`required`}
      ${field.readOnly && html`readonly`}
      ${field.focus && html`autofocus`}
      ${field.autocomplete !== "name" && html`autocapitalize="none" autocorrect="off" spellcheck="false"`}
    />
  </div>`;
}

/** Writes a field that people don't see. */
export function hiddenField(name: string, value: string): Html {
  return html`<input type="hidden" name="${name}" value="${value}" />`;
}

/** Writes what is wrong with a form as a whole, so that a screen reader says it at once. */
export function formAlert(message: string | undefined): Html | undefined {
  return message === undefined ? undefined : html`<p class="reasons" role="alert">${message}</p>`;
}

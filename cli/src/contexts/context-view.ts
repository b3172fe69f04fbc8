import type { JsonValue } from "@bufbuild/protobuf";
import { untilText } from "../output/time-text.ts";
import { LOCAL, type Context } from "./context.ts";

/** A context as it is shown: without its token. */
export interface ContextView {
  readonly name: string;
  readonly url: string;
  readonly current: boolean;
  /** Empty: nobody is logged in. */
  readonly subject: string;
  readonly accessor: string;
  /** ISO 8601; empty without a login. */
  readonly expireTime: string;
}

/** What may be seen of a context. */
export function contextView({ name, url, login }: Context, current: string): ContextView {
  const { subject = "", accessor = "", expireTime = "" } = login ?? {};
  return { name, url, current: name === current, subject, accessor, expireTime };
}

/** The home of this host, as a context. */
export function localView(url: string | undefined, current: string): ContextView {
  const subject = url === undefined ? "" : "local-operator";
  return { name: LOCAL, url: url ?? "", current: current === LOCAL, subject, accessor: "", expireTime: "" };
}

/** How the login is: `26d`, `ended`, or nothing. */
export function loginLeft({ expireTime }: ContextView): string {
  if (expireTime === "") return "";
  const until = new Date(expireTime);
  return until.getTime() <= Date.now() ? "ended" : untilText(until);
}

/** For programs. */
export const contextJson = (view: ContextView): JsonValue => ({ ...view });

/** A place in the log: behind the event with this transaction and position. */
export interface Place {
  readonly tx: bigint;
  readonly position: bigint;
}

/** Less than, equal to or greater than 0, as `a` stands before, at or behind `b`. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.tx !== b.tx) return a.tx < b.tx ? -1 : 1;
  return a.position === b.position ? 0 : a.position < b.position ? -1 : 1;
}

/** The one that stands further behind. */
export function laterPlace(a: Place, b: Place): Place {
  return comparePlaces(a, b) < 0 ? b : a;
}

const CURSOR = /^v1\.(\d{1,18})\.(\d{1,18})$/;

/** The place as an opaque text. */
export function encodeCursor({ tx, position }: Place): string {
  return Buffer.from(`v1.${tx}.${position}`).toString("base64url");
}

/** The place that a text made by {@link encodeCursor} stands for; undefined for any other text. */
export function decodeCursor(text: string): Place | undefined {
  const [, tx, position] = CURSOR.exec(Buffer.from(text, "base64url").toString("latin1")) ?? [];
  return tx === undefined || position === undefined ? undefined : { tx: BigInt(tx), position: BigInt(position) };
}

/** A place in the trail: behind the record with this transaction and position. */
export interface AuditPlace {
  readonly tx: bigint;
  readonly position: bigint;
}

const CURSOR = /^v1\.(\d{1,18})\.(\d{1,18})$/;

/** The place as an opaque text. */
export function encodeCursor({ tx, position }: AuditPlace): string {
  return Buffer.from(`v1.${tx}.${position}`).toString("base64url");
}

/** The place that a text made by {@link encodeCursor} stands for; undefined for any other text. */
export function decodeCursor(text: string): AuditPlace | undefined {
  const [, tx, position] = CURSOR.exec(Buffer.from(text, "base64url").toString("latin1")) ?? [];
  return tx === undefined || position === undefined ? undefined : { tx: BigInt(tx), position: BigInt(position) };
}

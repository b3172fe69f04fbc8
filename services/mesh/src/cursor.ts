/** The rules that make every entry of an outbox stored exactly once. Pure; sequences are safe integers from 1. */

/** What to do with a batch of an outbox. */
export type Admission =
  /** Take the entries from this index on; the ones before are stored or on their way. */
  | { readonly kind: "take"; readonly from: number }
  /** Everything is stored or on its way. */
  | { readonly kind: "duplicate" }
  /** An entry is missing. */
  | { readonly kind: "gap"; readonly expected: number; readonly got: number }
  /** The sequences do not follow one another. */
  | { readonly kind: "disorder"; readonly expected: number; readonly got: bigint };

/**
 * Decides about a batch.
 *
 * @param cursor the sequence up to which the entries of this outbox are stored or on their way.
 * @param entries the entries, at least one.
 */
export function admit(cursor: number, entries: readonly { readonly sequence: bigint }[]): Admission {
  const first = Number(entries[0]?.sequence ?? 0n);
  if (!Number.isSafeInteger(first) || first < 1) return { kind: "disorder", expected: cursor + 1, got: BigInt(first) };
  for (let i = 1; i < entries.length; i++) {
    const sequence = entries[i]?.sequence ?? 0n;
    if (Number(sequence) !== first + i) return { kind: "disorder", expected: first + i, got: sequence };
  }
  if (first > cursor + 1) return { kind: "gap", expected: cursor + 1, got: first };
  const from = cursor + 1 - first;
  return from >= entries.length ? { kind: "duplicate" } : { kind: "take", from };
}

/** The entries `after + 1 … upTo` of one ledger, on their way under one epoch. */
export interface Share {
  readonly epoch: bigint;
  readonly ledgerId: string;
  readonly after: number;
  readonly upTo: number;
}

/** What is stored of a sidecar. */
export interface StoredCursor {
  readonly epoch: bigint;
  readonly ledgerId: string;
  readonly cursor: number;
}

/** What to do with a share whose flush was refused. */
export type Rebase =
  /** A newer attach, another ledger or a revocation: these entries are no longer this stream's to write. */
  | { readonly kind: "fenced" }
  /** All are stored. `exactly`: nothing beyond them is, so an unconfirmed flush of this share may have stored them. */
  | { readonly kind: "stored"; readonly cursor: number; readonly exactly: boolean }
  /** Those up to the cursor are stored; write the rest. */
  | { readonly kind: "rest"; readonly after: number }
  /** Entries before these are missing: the database has lost some. */
  | { readonly kind: "gap"; readonly cursor: number };

/** Decides about a share after the stored cursor turned out to be another than expected. */
export function rebase(share: Share, stored: StoredCursor | undefined): Rebase {
  if (stored === undefined || stored.epoch !== share.epoch || stored.ledgerId !== share.ledgerId) {
    return { kind: "fenced" };
  }
  if (stored.cursor >= share.upTo) {
    return { kind: "stored", cursor: stored.cursor, exactly: stored.cursor === share.upTo };
  }
  if (stored.cursor < share.after) return { kind: "gap", cursor: stored.cursor };
  return { kind: "rest", after: stored.cursor };
}

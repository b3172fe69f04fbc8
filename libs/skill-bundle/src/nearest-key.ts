/** The known key that a mistyped one most likely meant; undefined when none is near. Case, `-` and `_` count as nothing. */
export function nearestKey(typed: string, known: readonly string[]): string | undefined {
  if (typed.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.round(typed.length / 3)) + 1;
  for (const key of known) {
    const distance = editDistance(fold(typed), fold(key));
    if (distance >= bestDistance) continue;
    best = key;
    bestDistance = distance;
  }
  return best;
}

const fold = (key: string): string => key.toLowerCase().replaceAll(/[-_\s]/g, "");

/** Levenshtein distance, two rows at a time. */
function editDistance(left: string, right: string): number {
  let before = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const changed = (before[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      row.push(Math.min((before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, changed));
    }
    before = row;
  }
  return before[right.length] ?? 0;
}

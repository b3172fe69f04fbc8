/** Past this many names no near one is looked for: a hint must not take longer than the reading. */
const MAX_NAMES = 2000;

/** The known name that a mistyped one most likely meant; undefined when none is near. */
function nearestName(typed: string, known: Iterable<string>): string | undefined {
  if (typed.length > 100) return undefined;
  const folded = fold(typed);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.round(typed.length * 0.4)) + 1;
  let seen = 0;
  for (const name of known) {
    if (++seen > MAX_NAMES) break;
    if (Math.abs(name.length - typed.length) >= bestDistance) continue;
    const distance = editDistance(folded, fold(name), bestDistance);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** `did you mean "x"?` of the known name that a mistyped one most likely meant, else the given sentence. Case, `-`, `_` and blanks count as nothing. */
export function didYouMean(typed: string, known: Iterable<string>, otherwise = ""): string {
  const near = nearestName(typed, known);
  return near === undefined ? otherwise : `did you mean "${near}"?`;
}

const fold = (name: string): string => name.toLowerCase().replaceAll(/[-_\s]/g, "");

/** Levenshtein distance, two rows at a time; any number from `bound` up when it is not below that. */
function editDistance(left: string, right: string, bound: number): number {
  let before = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1] ? 0 : 1;
      const distance = Math.min((before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (before[j - 1] ?? 0) + same);
      row.push(distance);
      if (distance < least) least = distance;
    }
    if (least >= bound) return least;
    before = row;
  }
  return before[right.length] ?? 0;
}

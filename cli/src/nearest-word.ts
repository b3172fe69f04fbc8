/** The word that differs least, by at most two letters and at most half of them; undefined when none is near. */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  const asked = word.toLowerCase();
  let nearest: { word: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(asked, candidate.toLowerCase());
    const bound = Math.min(2, Math.floor(Math.max(asked.length, candidate.length) / 2));
    if (distance <= bound && distance < (nearest?.distance ?? Infinity)) nearest = { word: candidate, distance };
  }
  return nearest?.word;
}

/** Letters to insert, delete, replace or swap with their neighbour. */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let above = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const line = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(
        (above[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      line.push(cost);
    }
    before = above;
    above = line;
  }
  return above[right.length] ?? 0;
}

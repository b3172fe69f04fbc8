/** One line of two texts: in both, only in the first, or only in the second. */
export interface DiffLine {
  readonly sign: " " | "-" | "+";
  readonly text: string;
}

/** More cells than this are not compared one by one: about a second of work. */
const MAX_CELLS = 4_000_000;

/** The shortest list of lines that leads from one text to the other; of very long ones not always the shortest. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  const same = (lines: readonly string[]): DiffLine[] => lines.map((text) => ({ sign: " ", text }));
  return [
    ...same(before.slice(0, start)),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...same(before.slice(before.length - end)),
  ];
}

function middle(before: readonly string[], after: readonly string[]): DiffLine[] {
  if (before.length === 0 || after.length === 0 || before.length * after.length > MAX_CELLS) {
    return [
      ...before.map((text) => ({ sign: "-", text }) as const),
      ...after.map((text) => ({ sign: "+", text }) as const),
    ];
  }
  // lengths[i * width + j]: the longest common subsequence of before from i and after from j.
  const width = after.length + 1;
  const lengths = new Uint16Array((before.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push({ sign: " ", text: before[i] ?? "" });
      i += 1;
      j += 1;
    } else if (i < before.length && (j === after.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ sign: "-", text: before[i] ?? "" });
      i += 1;
    } else {
      lines.push({ sign: "+", text: after[j] ?? "" });
      j += 1;
    }
  }
  return lines;
}

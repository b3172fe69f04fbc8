/** A parser for what may be repeated: each value is parsed and put behind those before it. */
export const listed =
  <Value>(parse: (text: string) => Value) =>
  (text: string, before: readonly Value[] | undefined): Value[] => [...(before ?? []), parse(text)];

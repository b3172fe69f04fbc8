/** The name of an enum's value in lower case, `running`; with its number when this client does not know it. */
export function enumWord(names: Readonly<Record<string, number>>, value: number | undefined): string {
  const name = Object.entries(names).find((entry) => entry[1] === (value ?? 0))?.[0];
  if (name === undefined) return `unknown (${value})`;
  return name === "UNSPECIFIED" ? "unknown" : name.toLowerCase();
}

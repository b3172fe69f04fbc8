/** Shares one text among all who ask within a while: writing many series takes time, and scrapers come together. */
export function shareText(ms: number, make: () => Promise<string>): () => Promise<string> {
  let text: Promise<string> | undefined;
  let until = 0;
  return () => {
    const now = performance.now();
    if (text === undefined || now > until) {
      until = now + ms;
      text = make();
    }
    return text;
  };
}

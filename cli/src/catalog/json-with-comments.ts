/** Reads JSON that may have comments and commas at the end of lists, as editors write it. Throws SyntaxError. */
export function parseJsonWithComments(text: string): unknown {
  const body = text.replace(/^\ufeff/, "");
  try {
    return JSON.parse(body);
  } catch (error) {
    const plain = withoutComments(body);
    if (plain === body) throw error;
    return JSON.parse(plain);
  }
}

/** Strings stay as they are; a comment becomes spaces, so that a place in the text stays the same. */
function withoutComments(text: string): string {
  const comments = /("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[^]*?\*\//g;
  const commas = /("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])/g;
  const blank = (found: string, string: string | undefined): string => string ?? found.replace(/[^\n]/g, " ");
  return text.replace(comments, blank).replace(commas, blank);
}

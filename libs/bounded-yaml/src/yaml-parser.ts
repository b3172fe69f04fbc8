import {
  Composer,
  Lexer,
  Parser,
  YAMLParseError,
  type Document,
  type DocumentOptions,
  type LineCounter,
  type ParseOptions,
  type SchemaOptions,
} from "yaml";

/** How much a parser takes on. */
export interface YamlBounds {
  /** How deep collections may lie in each other. */
  readonly maxDepth: number;
  /** How many tokens all texts of the parser may have together: about eight for a key with its value. */
  readonly maxTokens: number;
}

/** A document; or which bound the text goes past, and at which offset. */
export type YamlResult =
  | { readonly kind: "document"; readonly document: Document.Parsed }
  | { readonly kind: "too deep" | "too long"; readonly offset: number };

/** Reads texts within bounds. */
export interface YamlParser {
  /**
   * Reads the first document of a text, as parseDocument of the library does, except that it keeps no more than 100 errors. Its time
   * is linear in the length of the text, and its stack does not grow past maxDepth. Never throws.
   */
  parse(text: string, options: ParserOptions): YamlResult;
}

type ParserOptions = Omit<
  ParseOptions & DocumentOptions & SchemaOptions,
  "lineCounter" | "prettyErrors" | "uniqueKeys"
> & {
  lineCounter: LineCounter;
};

/** Each takes a stack trace, which is most of what a text of nothing but errors costs. */
const MAX_ERRORS = 100;

/** Ends a parse. */
class BoundError extends Error {
  readonly kind: "too deep" | "too long";
  readonly offset: number;
  constructor(kind: "too deep" | "too long", offset: number) {
    super(kind);
    this.kind = kind;
    this.offset = offset;
  }
}

/**
 * Makes a parser for texts of people one does not know. The library recurses for each level and takes what comes: a MiB of brackets keeps
 * it busy for a minute, and an overflow of the stack in the middle of a regular expression ends the process.
 */
export function createYamlParser({ maxDepth, maxTokens }: YamlBounds): YamlParser {
  let tokensLeft = maxTokens;

  function* tokensOf(text: string, lineCounter: LineCounter) {
    const parser = new Parser(lineCounter.addNewLine);
    let errorsLeft = MAX_ERRORS;
    lineCounter.addNewLine(0);
    for (const source of new Lexer().lex(text)) {
      tokensLeft -= 1;
      if (tokensLeft < 0) throw new BoundError("too long", parser.offset);
      for (const token of parser.next(source)) {
        if (token.type === "error") errorsLeft -= 1;
        yield token;
      }
      if (errorsLeft <= 0) break;
      // The document itself, and a scalar.
      if (parser.stack.length > maxDepth + 2) throw new BoundError("too deep", parser.offset);
    }
    yield* parser.end();
  }

  return {
    parse(text, options) {
      // uniqueKeys compares each key with each other.
      const composer = new Composer({ ...options, uniqueKeys: false });
      keepFirstErrors(composer);
      let document: Document.Parsed | undefined;
      try {
        for (const next of composer.compose(tokensOf(text, options.lineCounter), true, text.length)) {
          if (document === undefined) {
            document = next;
            continue;
          }
          const [start, end] = next.range ?? [0, 0];
          document.errors.push(
            new YAMLParseError([start, end], "MULTIPLE_DOCS", "the text has more than one document"),
          );
          break;
        }
      } catch (error) {
        if (!(error instanceof BoundError)) throw error;
        return { kind: error.kind, offset: error.offset };
      }
      if (document === undefined) throw new Error("the library made no document");
      return { kind: "document", document };
    },
  };
}

/** The library has no bound for errors. Where it reports them is not part of its types; a test sees to it that this still works. */
function keepFirstErrors(composer: Composer): void {
  const reporter = composer as unknown as { onError: (...args: unknown[]) => void };
  const report = reporter.onError;
  let left = MAX_ERRORS;
  reporter.onError = (...args) => {
    left -= 1;
    if (left >= 0) report(...args);
  };
}

/** Where and why a text isn't JSON. Only loaded and run once JSON.parse has failed. */
import type { ParseError } from "jsonc-parser";
import type { Problem } from "./common.ts";

const EXPECTED: Record<string, string> = {
  InvalidSymbol: "expected a value: true, false, null, a number, a string in double quotes, { or [",
  InvalidNumberFormat: "expected a number such as 12, -1 or 1.5",
  PropertyNameExpected: "expected a property name in double quotes",
  ValueExpected: "expected a value",
  ColonExpected: "expected : after the property name",
  CommaExpected: "expected a comma before the next element",
  CloseBraceExpected: "expected } or a comma",
  CloseBracketExpected: "expected ] or a comma",
  EndOfFileExpected: "expected the end of the document",
  InvalidCommentToken: "expected no comment, which JSON doesn't have",
  UnexpectedEndOfComment: "expected the end of a comment, which JSON doesn't have",
  UnexpectedEndOfString: 'expected " at the end of the string, on the same line',
  UnexpectedEndOfNumber: "expected another digit",
  InvalidUnicode: "expected four hexadecimal digits after \\u",
  InvalidEscapeCharacter: 'expected one of " \\ / b f n r t u after the backslash',
  InvalidCharacter: "expected no control character in a string; write it as an escape such as \\n",
};

function firstError(text: string): { name: string; offset: number; length: number } | undefined {
  // The package's main file is UMD, whose inner require() `bun build` leaves unresolved; the ES module bundles.
  const jsonc = require("jsonc-parser/lib/esm/main.js") as typeof import("jsonc-parser");
  const errors: ParseError[] = [];
  // A text nested deeper than the stack is one that JSON.parse refuses as well.
  try {
    jsonc.visit(
      text,
      {
        onError: (error, offset, length) => {
          errors.push({ error, offset, length });
        },
      },
      { disallowComments: true, allowTrailingComma: false },
    );
  } catch {
    return undefined;
  }
  const [first] = errors;
  return (
    first && { name: jsonc.printParseErrorCode(first.error), offset: first.offset, length: first.length }
  );
}

function hintAt(text: string, offset: number): string | undefined {
  if (text.startsWith("\uFEFF")) return "remove the byte order mark at the file's begin";
  const before = text.slice(0, offset).trimEnd();
  if (before.endsWith(",") && /^\s*[\]}]/.test(text.slice(offset)))
    return "remove the comma before it: the last element has none";
  if (text[offset] === "'") return "strings are in double quotes";
  return undefined;
}

/** The problem that keeps `text` from being JSON, with line and column, both from 1; `failure` is JSON.parse's error. */
export function syntaxProblem(text: string, failure: unknown): Problem {
  const error = firstError(text);
  if (!error) return { at: "", message: failure instanceof Error ? failure.message : String(failure) };
  const lines = text.slice(0, error.offset).split("\n");
  const column = (lines.at(-1) ?? "").length + 1;
  const token = text.slice(error.offset, error.offset + Math.max(1, Math.min(error.length, 30)));
  const found = token.trim() === "" ? (error.offset >= text.length ? "the end" : "a blank") : token;
  const expected = EXPECTED[error.name] ?? error.name;
  const message = `line ${lines.length}, column ${column}: ${expected}, found ${found}`;
  const hint = hintAt(text, error.offset);
  return hint === undefined ? { at: "", message } : { at: "", message, hint };
}

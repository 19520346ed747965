// SPL's words and signs.
import { createToken, Lexer, type TokenType } from "chevrotain";

/** Comments and spaces; documentation comments are looked up by what follows them. */
export const Comment = createToken({
  name: "Comment",
  pattern: /\/\/[^\n]*|\/\*[\s\S]*?\*\//,
  line_breaks: true,
  group: "comments",
});
const Space = createToken({ name: "Space", pattern: /\s+/, line_breaks: true, group: Lexer.SKIPPED });

/** A name. */
export const Identifier = createToken({ name: "Identifier", pattern: /[A-Za-z_]\w*/ });
/** A composite's parameter. */
export const Parameter = createToken({ name: "Parameter", pattern: /\$[A-Za-z_]\w*/ });
/** A number with its suffix. */
export const NumberLiteral = createToken({
  name: "NumberLiteral",
  pattern: /0x[0-9a-fA-F]+(?:u?[bhwl]|u)?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:u?[bhwl]|u|s)?/,
});
/** A string. */
export const StringLiteral = createToken({ name: "StringLiteral", pattern: /"(?:[^"\\\n]|\\.)*"[ru]?/ });

const words = (
  "annotation as attribute break composite config continue else enum expression false for function graph if in input list " +
  "logic map mutable namespace onPunct onTuple operator optional output param public return set state stateful static " +
  "stream true tuple type use void while"
).split(" ");
/** Names of SPL's simple types. */
export const PRIMITIVES =
  "boolean int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 rstring ustring blob timestamp xml".split(
    " ",
  );

/** Reserved words by their text. `state` is one only in a logic clause, so it may be a name too. */
export const keywords: Readonly<Record<string, TokenType>> = Object.fromEntries(
  [...words, "onProcess"].map((word) => {
    const isSoft = word === "state" || word === "onProcess" || word === "annotation";
    const categories = isSoft ? [Identifier] : [];
    return [
      word,
      createToken({ name: `word_${word}`, pattern: new RegExp(`${word}(?!\\w)`), longer_alt: Identifier, categories }),
    ];
  }),
);
/** The name of a simple type. */
export const Primitive = createToken({
  name: "Primitive",
  pattern: new RegExp(`(?:${PRIMITIVES.join("|")})(?!\\w)`),
});

const signs = [
  ..."== != <= && || ++ -- += -= *= /= %= &= |= ^= :: << >=".split(" "),
  ..."< > = + - * / % & | ^ ~ ! ? : ; , . ( ) { } [ ] @".split(" "),
];
/** Signs by their text. `>>` is read as two, since `>` also closes types. */
export const sign: Readonly<Record<string, TokenType>> = Object.fromEntries(
  signs.map((text) => [text, createToken({ name: `'${text}'`, pattern: text })]),
);

/** All of them, in the order in which the lexer tries them. */
export const allTokens: TokenType[] = [
  Comment,
  Space,
  Parameter,
  NumberLiteral,
  StringLiteral,
  Primitive,
  ...Object.values(keywords),
  Identifier,
  ...signs.map((text) => sign[text]),
];

/** The lexer. */
export const lexer = new Lexer(allTokens, { ensureOptimizations: false });

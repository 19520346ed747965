import { rejects } from "./seeded-program.ts";

rejects("documentation and syntax", [
  ["no documentation", "/** Uses it. */\n", "", "missing-documentation", "public composite Main"],
  [
    "a parameter without documentation",
    " * @param kind how\n",
    "",
    "missing-documentation",
    "public composite Recognise",
  ],
  ["a missing semicolon", "flush : 1u;", "flush : 1u", "syntax", "}\n\n    stream<Text> Texts"],
  ["a bracket too few", "half(size(data))", "half(size(data)", "syntax", ";\n            add"],
  ["a sign that SPL has not", "count += 100ul", "count += 100ul #", "syntax", "#"],
]);

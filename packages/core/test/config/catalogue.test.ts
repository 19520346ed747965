import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CATALOGUE, renderCatalogue } from "../../src/config/catalogue.ts";
import { describeModel } from "../../src/config/describe.ts";
import { REFUSAL_REASONS } from "../../src/config/refusals.ts";
import { FAMILIES } from "./families.ts";

const PAGE = new URL("../../../../docs/models.md", import.meta.url);
const START = "<!-- catalogue: start -->\n";
const END = "<!-- catalogue: end -->";

describe("catalogue", () => {
  test("has the 127 names that NeMo registers, and no name twice", () => {
    expect(CATALOGUE.filter((entry) => entry.isRegistered).length).toBe(127);
    expect(new Set(CATALOGUE.map((entry) => entry.name)).size).toBe(CATALOGUE.length);
  });

  test.each(CATALOGUE)("says the truth about $name", ({ family, className, refusal }) => {
    const { config, tensors } = FAMILIES[family]();
    expect(config.target).toMatch(new RegExp(`\\.${className}$`));
    const describeIt = () => describeModel(config, tensors, ["0123_tokenizer.model", "4567_tokenizer.model"]);
    if (refusal === undefined) {
      expect(describeIt().className).toBe(className);
    } else {
      expect(describeIt).toThrow(expect.objectContaining({ code: "MODEL_UNSUPPORTED" }));
      expect(describeIt).toThrow(`this model is ${REFUSAL_REASONS[refusal]}.`);
    }
  });

  test("is what docs/models.md shows", () => {
    const page = readFileSync(PAGE, "utf8");
    const [before, rest] = page.split(START);
    const [shown, after] = rest.split(END);
    if (process.env.UPDATE_DOCS) writeFileSync(PAGE, before + START + renderCatalogue() + END + after);
    else
      expect(shown, "run `UPDATE_DOCS=1 npx vitest run packages/core/test/config/catalogue.test.ts`").toBe(
        renderCatalogue(),
      );
  });
});

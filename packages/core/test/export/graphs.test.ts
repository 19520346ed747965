import { describe, expect, test } from "vitest";
import type { ConformerSpec, ModelSpec } from "../../src/config/spec.ts";
import { contextSize, takesContext } from "../../src/export/graphs.ts";

describe("takesContext", () => {
  const full = [{ left: -1, right: -1 }];
  const specOf = (attention: Partial<ConformerSpec["attention"]>) =>
    ({ encoder: { kind: "conformer", attention: { style: "regular", contexts: full, ...attention } } }) as ModelSpec;

  test("is true where attention is limited in some context, or can be", () => {
    expect(takesContext(specOf({}))).toBe(false);
    expect(takesContext(specOf({ contexts: [...full, { left: 70, right: 0 }] }))).toBe(true);
    // A unified model starts with full attention, and any triple can be asked of it.
    const unified = specOf({ style: "chunked_limited_with_rc", chunkContexts: [] });
    expect(takesContext(unified)).toBe(true);
    expect([contextSize(unified), contextSize(specOf({}))]).toEqual([3, 2]);
    expect(takesContext({ encoder: { kind: "convasr" } } as ModelSpec)).toBe(false);
  });
});

import type { ModelSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** What of a model tells whether it writes text. */
export interface MaybeTextModel {
  readonly name: string;
  readonly spec: Pick<ModelSpec, "className">;
  readonly tokenizer: Tokenizer | undefined;
}

/**
 * The tokenizer of a model that writes text.
 * @throws SpeechError `MODEL_UNSUPPORTED` for classifiers
 */
export function textTokenizer({ name, spec, tokenizer }: MaybeTextModel): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${name}: expected a model that writes text, got ${spec.className}, a classifier. Use it with \`vad\`.`,
  );
}

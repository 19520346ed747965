/** How texts are made comparable before errors are counted; an error rate is given together with its normaliser. */
export const NORMALIZERS = {
  /** Texts as they are, white space aside. */
  none: (text: string): string => text,
  /** Lower case, and no punctuation but apostrophes inside words: as the texts of NeMo's LibriSpeech manifests are. */
  manifest: (text: string): string =>
    text
      .normalize("NFC")
      .toLowerCase()
      .replaceAll(/[’ʼ＇]/gu, "'")
      .replaceAll(
        /((?<=[\p{L}\p{N}])'(?=[\p{L}\p{N}]))|[\p{P}\p{S}]/gu,
        (_, apostrophe: string | undefined) => apostrophe ?? " ",
      ),
} as const;

/** The name of a normaliser. */
export type NormalizerName = keyof typeof NORMALIZERS;

/** The words of a text after normalisation. */
export function splitWords(text: string, normalizer: NormalizerName): string[] {
  return NORMALIZERS[normalizer](text)
    .split(/\s+/u)
    .filter((word) => word !== "");
}

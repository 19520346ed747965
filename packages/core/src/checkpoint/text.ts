interface Decoder {
  decode(bytes: Uint8Array): string;
}
declare const TextDecoder: new (label: string, options?: { fatal?: boolean; ignoreBOM?: boolean }) => Decoder;
declare const TextEncoder: new () => { encode(text: string): Uint8Array };

/** UTF-8 to text; wrong bytes become U+FFFD. */
export const textDecoder: Decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 to text; wrong bytes throw a TypeError. */
export const strictTextDecoder: Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text to UTF-8. */
export const textEncoder = new TextEncoder();

/** Text of a file for an error message: in backticks, control characters escaped, at most 100 characters. */
export function quote(text: string): string {
  const clipped = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  const escaped = clipped.replace(/[\p{Cc}`]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `\`${escaped}\``;
}

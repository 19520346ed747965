import type { SpeechError, TranscribeResult } from "@nemo-stt/core";

/** An error as people read it: the sentence, and the code to look for. */
export const errorText = ({ message, code }: SpeechError): string => `${printable(message)} (${code})`;

/** Text in which file names may stand: on one line and without a terminal's control sequences. */
export const printable = (text: string): string =>
  text.replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** What is said of recordings that were too long to be recognised at once; those windows that change numbers always. */
export function longFormNote(method: TranscribeResult["longForm"], isVerbose: boolean): string | undefined {
  if (method === "windows")
    return "It is too long for the model at once: recognised in overlapping windows, merged as NeMo's buffered inference does.";
  if (method === "exact-windows" && isVerbose)
    return "It was recognised in overlapping windows, which give the numbers of the whole.";
  return undefined;
}

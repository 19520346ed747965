import type { SpeechError } from "@nemo-stt/core";

/** An error as people read it: the sentence, and the code to look for. */
export const errorText = ({ message, code }: SpeechError): string => `${printable(message)} (${code})`;

/** Text in which file names may stand: on one line and without a terminal's control sequences. */
export const printable = (text: string): string =>
  text.replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);

import { SpeechError } from "../../src/errors.ts";

/** How opening fails; positions in the pickle (tested in `pickle.test.ts`) are left out. */
export async function failure(opening: Promise<unknown>): Promise<{ code: string; message: string } | undefined> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof SpeechError)) throw error;
  return { code: error.code, message: error.message.replace(/pickle byte \d+/, "pickle byte N") };
}

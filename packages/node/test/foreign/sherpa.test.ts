import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  type AcousticModel,
  addErrors,
  compareWords,
  decodeRows,
  type Encoded,
  errorRate,
  foreignGraphs,
  type Head,
  NO_ERRORS,
  type Recognizer,
  subsamplingFactor,
} from "@nemo-stt/core";
import { afterAll, describe, expect, test } from "vitest";
import {
  bundled,
  exported,
  type Files,
  graphFiles,
  openForeign,
  readPcm16,
  recordings,
  shared,
  sherpaPeer,
  tokensFile,
  writeFolder,
} from "./files.ts";
import { hasSherpa } from "./platform.ts";
import { randomHybrid } from "./random-model.ts";
import { sherpaFeatures } from "./sherpa-features.ts";

const run = promisify(execFile);
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

async function sherpaFolder(files: Files): Promise<string> {
  const folder = await writeFolder(files);
  folders.push(folder);
  return folder;
}

/** What the unmodified npm package writes. It runs outside because any error of its ends its process. */
async function sherpaTexts(folder: string, kind: "ctc" | "rnnt" | "tdt", urls: readonly URL[], numMels: number) {
  const options = ["--passes", "0", "--features", String(numMels)];
  const { stdout } = await run(process.execPath, [
    sherpaPeer,
    ...options,
    folder,
    kind,
    ...urls.map((u) => fileURLToPath(u)),
  ]);
  return (JSON.parse(stdout) as { texts: string[] }).texts;
}

/** Tokens at one step at most, in sherpa-onnx. */
const MAX_SYMBOLS = { rnnt: 10, tdt: 5 } as const;

/** What our recogniser writes when it is given sherpa-onnx's features and counts steps and symbols as sherpa-onnx does. */
async function ourTexts({ acoustic, extractor, tokenizer }: Recognizer, path: Head, urls: readonly URL[]) {
  const texts: string[] = [];
  for (const url of urls) {
    const features = sherpaFeatures(extractor.spec, readPcm16(url), path);
    const encoded = await acoustic.encode(features, undefined, path);
    const lengths = path === "ctc" ? [countedSteps(acoustic, features.numFrames)] : encoded.lengths;
    const [hypothesis] = await decodeRows(limited(acoustic), path, { ...encoded, lengths } satisfies Encoded);
    texts.push(tokenizer.decode(hypothesis.tokens).trim());
  }
  return texts;
}

/** sherpa-onnx does not ask a CTC model for its lengths: an incomplete last step is left out. */
function countedSteps({ spec }: AcousticModel, numFrames: number): number {
  return Math.floor(numFrames / subsamplingFactor(spec.encoder));
}

function limited(acoustic: AcousticModel): AcousticModel {
  const { spec } = acoustic;
  const { transducer } = spec.heads;
  if (!transducer) return acoustic;
  const heads = { ...spec.heads, transducer: { ...transducer, maxSymbols: MAX_SYMBOLS[transducer.kind] } };
  return { ...acoustic, spec: { ...spec, heads } };
}

async function expectSameTexts(files: Files, urls: readonly URL[]): Promise<void> {
  const folder = await sherpaFolder(files);
  await using ours = await openForeign(files);
  const { ctc, transducer } = ours.spec.heads;
  const { numMels } = ours.spec.features;
  if (ctc) expect(await sherpaTexts(folder, "ctc", urls, numMels)).toEqual(await ourTexts(ours, "ctc", urls));
  if (!transducer) return;
  const texts = await ourTexts(ours, "transducer", urls);
  expect(texts.every((text) => text.length > 10)).toBe(true);
  expect(await sherpaTexts(folder, transducer.kind, urls, numMels)).toEqual(texts);
}

// sherpa-onnx computes features of its own, unlike NeMo's; so that texts can be equal, ours gets the same ones.
describe.skipIf(!hasSherpa)("the unmodified sherpa-onnx-node", () => {
  test("writes our texts with the bundled model, CTC and RNNT", async () => {
    await expectSameTexts(await exported(bundled, "sherpa"), recordings);
  });

  test("writes nearly our texts with its own features", async () => {
    const files = await exported(bundled, "sherpa");
    const folder = await sherpaFolder(files);
    await using ours = await openForeign(files);
    for (const [head, kind] of [
      ["ctc", "ctc"],
      ["transducer", "rnnt"],
    ] as const) {
      const expected = await ours.transcribe(recordings.map(readPcm16), { head });
      const found = await sherpaTexts(folder, kind, recordings, ours.spec.features.numMels);
      const errors = expected.map(({ text }, i) => compareWords(text, found[i], "none"));
      expect(errorRate(errors.reduce(addErrors, NO_ERRORS))).toBeLessThan(0.2);
    }
  });

  test("writes our texts with a TDT model", async () => {
    const { spec, weights, pieces } = randomHybrid([0, 1, 2, 3, 4], 20);
    const graphs = foreignGraphs("sherpa", spec, weights, { precision: "float32", stem: "model" });
    await expectSameTexts((await graphFiles(graphs)).set("tokens.txt", tokensFile(pieces)), recordings);
  });

  const goldens = ["conformer-ctc-char", "fastconformer-rnnt-bpe", "parakeet-tdt", "fastconformer-hybrid-streaming"];
  const clips = ["clip0", "clip1", "clip2"].map((clip) => new URL(`golden/clips/${clip}.wav`, shared));
  const isShared = clips.every((clip) => existsSync(clip));

  test.skipIf(!isShared).each(goldens)("writes our texts with the golden %s", async (name) => {
    await expectSameTexts(await exported(new URL(`golden/${name}/model.nemo`, shared), "sherpa"), clips);
  });
});

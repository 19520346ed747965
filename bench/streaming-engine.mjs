// Our streams for the benchmark: a checkpoint exported afresh (never from the cache, so that what is measured is the
// checkout), warmed streams whose caches are full, and ticks in which every stream gets one chunk.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportModel, openModelFolder, openStreamSet } from "@nemo-stt/core";
import { diskFolder, folderSink, nodeRuntime, withCheckpoint } from "@nemo-stt/node";
import * as ort from "onnxruntime-node";
import { loopedAudio } from "./waveforms.mjs";

const now = () => performance.now() / 1000;

/** The streams of one model: `{ set, parts, spec, close }`. */
export async function openBenchStreams(path, { precision, maxStreams, batches }) {
  const folder = await mkdtemp(join(tmpdir(), "nemo-stt-streams-"));
  const release = () => rm(folder, { recursive: true, force: true });
  try {
    await withCheckpoint(path, async (source) => exportModel(source, await folderSink(folder), { precision }));
    const model = await openModelFolder(diskFolder(folder));
    const options = { maxStreams, numThreads: 1, now, batches };
    const opened = await openStreamSet(model, nodeRuntime(), options);
    const close = async () => {
      await opened.release();
      await release();
    };
    return { ...opened, spec: model.spec, folder, close };
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * Opens streams that have all heard enough for every cache to be full: one is warmed, the others go on from its state.
 * Each then hears recordings of its own.
 */
export async function openWarmStreams({ set, spec }, { numStreams, attContext, head }) {
  const audio = await loopedAudio();
  const options = { attContext, head };
  const chunkSamples = samplesOfChunk(spec, attContext);
  set.open(0, options, () => {});
  const warmup = Math.ceil(((attContext[0] + 2 * (attContext[1] + 1)) * samplesOfStep(spec)) / chunkSamples);
  for (let i = 0; i < warmup; i++) await tick([0], i);
  const state = set.save(0);
  for (let id = 1; id < numStreams; id++) set.open(id, options, () => {}, state);
  const ids = Array.from({ length: numStreams }, (_, id) => id);
  let count = warmup;

  /** Every stream gets a chunk of sound; all batches that follow. Tells what they did. */
  async function tick(streams, at) {
    for (const id of streams) set.feed(id, audio(id, at * chunkSamples, chunkSamples));
    const reports = [];
    while (set.hasWork) reports.push(await set.runBatch());
    return reports;
  }

  return {
    chunkSec: chunkSamples / spec.sampleRateHz,
    tick: () => tick(ids, count++),
    close() {
      for (const id of ids) set.close(id);
    },
  };
}

/** Samples of one encoder step. */
export const samplesOfStep = ({ encoder, features }) => encoder.subsampling.factor * features.hopSamples;

/** Samples that complete one chunk. */
export const samplesOfChunk = (spec, [, right]) => (right + 1) * samplesOfStep(spec);

/** Lets ONNX Runtime write a profile of every graph loaded while `load` runs. */
export async function withProfiles(prefix, load) {
  const { create } = ort.InferenceSession;
  ort.InferenceSession.create = (model, options) =>
    create.call(ort.InferenceSession, model, { ...options, enableProfiling: true, profileFilePrefix: prefix });
  try {
    return await load();
  } finally {
    ort.InferenceSession.create = create;
  }
}

/** The middle value, and any other share. */
export function quantile(values, share = 0.5) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

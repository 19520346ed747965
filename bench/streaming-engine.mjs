// Our streams for the benchmark: a checkpoint exported afresh (never from the cache, so that what is measured is the
// checkout) and a driver of streams whose caches are full.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportModel, openModelFolder, openStreamSet } from "@nemo-stt/core";
import { diskFolder, folderSink, nodeRuntime, withCheckpoint } from "@nemo-stt/node";
import * as ort from "onnxruntime-node";
import { clockMs } from "./clock.mjs";
import { loopedAudio } from "./waveforms.mjs";

const now = () => clockMs() / 1000;

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
    return { ...opened, spec: model.spec, close };
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * A driver (`streaming-load.mjs`) of streams that have all heard enough for every cache to be full: one is warmed, the
 * others go on from its state. Each then hears recordings of its own.
 */
export async function openOurStreams({ set, parts, spec }, { numStreams, attContext, head }) {
  const audio = await loopedAudio();
  const chunkSamples = (attContext[1] + 1) * samplesOfStep(spec);
  const options = { attContext, head };
  let finished = [];
  const open = (id, state) => {
    const onStep = () => finished.push(id);
    set.open(id, options, () => {}, state, onStep);
  };
  open(0);
  const warmup = attContext[0] * samplesOfStep(spec) + 3 * chunkSamples;
  for (let at = 0; at < warmup; at += chunkSamples) {
    set.feed(0, audio(0, at, chunkSamples));
    while (set.hasWork) await set.runBatch();
  }
  const state = set.save(0);
  for (let id = 1; id < numStreams; id++) open(id, state);
  const reports = [];
  return {
    chunkSec: chunkSamples / spec.sampleRateHz,
    cacheBytes: parts.encoder.pool.slotBytes,
    /** What every batch did since it was last emptied. */
    reports,
    feed: (id, samples) => void set.feed(id, samples),
    isReady: (id) => set.isBusy(id),
    async step() {
      finished = [];
      const report = await set.runBatch();
      if (report) reports.push(report);
      return finished;
    },
    close() {
      for (let id = 0; id < numStreams; id++) set.close(id);
    },
  };
}

/** Samples of one encoder step. */
const samplesOfStep = ({ encoder, features }) => encoder.subsampling.factor * features.hopSamples;

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

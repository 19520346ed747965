import { inspectSamples } from "@nemo-stt/core";
import type { Warn } from "./decoded.ts";

/** Sound may exceed 1 a little after a lossy codec; sixteen times is no sound. */
const LOUDEST_PEAK = 16;
/** The first channel is looked at in windows of half a second at telephone rate. */
const WINDOW_SAMPLES = 4000;
/** Quieter windows tell nothing. */
const QUIET_RMS = 0.01;
/** Louder than any window of speech; wrongly read data of telephony has 0.5 to 0.7, noise of full scale 0.58. */
const LOUD_RMS = 0.5;
/** Louder than any steady hiss that people record. */
const HISS_RMS = 0.15;
/** Neighbours in speech are alike (0.5 and more); in compressed or wrongly read data they have nothing to do with each other. */
const HISS_CORRELATION = 0.15;
/** The share of windows that are so before it is said. */
const DATA_SHARE = 0.25;

/** Looks at all samples of a recording as they pass. */
export interface SoundCheck {
  /** Replaces what is no number by zero, in place. */
  take(block: readonly Float32Array[]): void;
  /** Tells what was found, when all samples have passed. */
  finish(): void;
  /** The part of all samples that were numbers. */
  readonly finiteShare: number;
}

/** Watches for what is no sound: nothing, silence, values that are no numbers, and data taken for samples. */
export function soundCheck(warn: Warn): SoundCheck {
  let numSamples = 0;
  let numBroken = 0;
  let peak = 0;
  let isSilent = true;
  const data = dataCheck();
  return {
    take(block) {
      for (const channel of block) {
        const found = inspectSamples(channel);
        numSamples += found.numSamples;
        numBroken += found.numNonFinite;
        peak = Math.max(peak, found.peak);
        isSilent &&= found.isSilent;
        if (found.numNonFinite > 0) silenceBroken(channel);
      }
      data.take(block[0]);
    },
    finish() {
      if (numSamples === 0) return warn("It holds no samples.");
      if (numBroken > 0) warn(`${numBroken} of ${numSamples} samples are no numbers and were taken as silence.`);
      if (isSilent) return warn("It is silent from beginning to end.");
      if (peak > LOUDEST_PEAK)
        warn(`Its loudest sample is ${peak.toPrecision(3)}, where 1 is full scale; its samples may be scaled wrongly.`);
      if (data.isLikely()) {
        warn(
          "Much of it is as loud or as rough as data that are no sound; it may be compressed, of another encoding than was read, or overdriven.",
        );
      }
    },
    get finiteShare() {
      return numSamples === 0 ? 1 : 1 - numBroken / numSamples;
    },
  };
}

function silenceBroken(samples: Float32Array): void {
  for (let i = 0; i < samples.length; i++) if (!Number.isFinite(samples[i])) samples[i] = 0;
}

/** Counts the windows that look like data taken for samples. */
function dataCheck(): { take(samples: Float32Array): void; isLikely(): boolean } {
  let numHeard = 0;
  let numDataLike = 0;
  let numTaken = 0;
  let last = 0;
  let energy = 0;
  let product = 0;

  function endWindow(): void {
    const rms = Math.sqrt(energy / WINDOW_SAMPLES);
    const isHiss = rms > HISS_RMS && Math.abs(product / energy) < HISS_CORRELATION;
    if (rms > QUIET_RMS) numHeard++;
    if (rms > LOUD_RMS || isHiss) numDataLike++;
    numTaken = 0;
    energy = 0;
    product = 0;
  }

  return {
    take(samples) {
      for (let i = 0; i < samples.length; i++) {
        energy += samples[i] * samples[i];
        product += samples[i] * last;
        last = samples[i];
        if (++numTaken === WINDOW_SAMPLES) endWindow();
      }
    },
    isLikely: () => numDataLike > DATA_SHARE * numHeard,
  };
}

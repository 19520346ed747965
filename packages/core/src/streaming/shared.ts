import { createResampler, type Resampler } from "../audio/resample.ts";
import type { ModelSpec } from "../config/spec.ts";
import type { AcousticModel } from "../recognition/acoustic.ts";
import { createHeadDecoder, defaultHead, type HeadDecoder } from "../recognition/head-decoder.ts";
import type { StreamOptions } from "./stream.ts";

/** What the streams of one model share: each thing is made once for all that ask alike. */
export interface SharedParts {
  /** From the rate that a stream is fed at to the model's. */
  resampler(options: StreamOptions): Resampler;
  decoder(options: StreamOptions): HeadDecoder;
}

/** Makes the shared parts of a model's streams, empty at first. */
export function createSharedParts(spec: ModelSpec, networks: AcousticModel["networks"]): SharedParts {
  const resamplers = remembered((rateHz: number) => createResampler(rateHz, spec.sampleRateHz));
  const decoders = remembered((key: string) => {
    const [head, confidence] = JSON.parse(key);
    return createHeadDecoder({ spec, networks }, head, confidence);
  });
  return {
    resampler: ({ sampleRateHz = spec.sampleRateHz }) => resamplers(sampleRateHz),
    decoder: ({ head = defaultHead(spec), confidence }) =>
      decoders(JSON.stringify([head, { ...spec.decoding.confidence, ...confidence }])),
  };
}

/** A function that makes each of its results once. */
function remembered<K, V extends object>(make: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    const value = known.get(key) ?? make(key);
    known.set(key, value);
    return value;
  };
}

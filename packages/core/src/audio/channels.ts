/** Splits interleaved samples into one array for each channel. An incomplete last sample is left out. */
export function splitChannels(interleaved: Float32Array, numChannels: number): Float32Array[] {
  const length = Math.floor(interleaved.length / numChannels);
  return Array.from({ length: numChannels }, (_, c) =>
    Float32Array.from({ length }, (_, i) => interleaved[i * numChannels + c]),
  );
}

/** Mixes channels to one: their average, as NeMo's `channel_selector: average` (a float32 sum, then the division). */
export function mixChannels(channels: readonly Float32Array[]): Float32Array {
  const [first, ...others] = channels;
  if (first === undefined || others.some((channel) => channel.length !== first.length)) {
    const lengths = channels.map((channel) => channel.length).join(", ");
    throw new RangeError(`mixChannels: expected one or more channels of one length, got [${lengths}].`);
  }
  const mixed = first.slice();
  for (const channel of others) for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i];
  if (others.length > 0) for (let i = 0; i < mixed.length; i++) mixed[i] /= channels.length;
  return mixed;
}

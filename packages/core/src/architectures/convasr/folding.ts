import type { Net } from "../net.ts";

/** Jasper's batch norms have an epsilon of their own. */
const EPSILON = 1e-3;

/**
 * A layer without bias and the batch norm behind it as one layer with bias: a view of the checkpoint in which
 * `${prefix}:folded` is that layer.
 */
export function foldBatchNorm(net: Net, prefix: string, batchNorm: string): { net: Net; prefix: string } {
  const { w } = net;
  const source = `${prefix}.weight`;
  const [weight, bias] = [`${prefix}:folded.weight`, `${prefix}:folded.bias`];
  const numOut = w.dims(source)[0];
  return {
    prefix: `${prefix}:folded`,
    net: {
      ...net,
      w: {
        has: (name) => name === weight || name === bias,
        dims: (name) => (name === weight ? w.dims(source) : [numOut]),
        offsetBytes: () => undefined,
        async read(name) {
          const { scale, shift } = await affineOf(net, batchNorm);
          if (name === bias) return Float32Array.from(shift);
          const values = await w.read(source);
          const size = values.length / numOut;
          const folded = new Float32Array(values.length);
          for (let i = 0; i < values.length; i++) folded[i] = values[i] * scale[Math.floor(i / size)];
          return folded;
        },
      },
    },
  };
}

/** A batch norm at inference as `scale · x + shift`. */
async function affineOf({ w }: Net, prefix: string): Promise<{ scale: Float64Array; shift: Float64Array }> {
  const scale = Float64Array.from(await w.read(`${prefix}.weight`));
  const shift = Float64Array.from(await w.read(`${prefix}.bias`));
  const mean = await w.read(`${prefix}.running_mean`);
  const variance = await w.read(`${prefix}.running_var`);
  for (let i = 0; i < scale.length; i++) {
    scale[i] /= Math.sqrt(variance[i] + EPSILON);
    shift[i] -= mean[i] * scale[i];
  }
  return { scale, shift };
}

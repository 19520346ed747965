// A checkpoint with the geometry of a published model and random weights, in the form NeMo saves: for measurements, where
// the cost depends on shapes only and no model needs to be downloaded.
//   node bench/make-checkpoint.mjs conformer-ctc-small out.nemo
import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";

const asr = "nemo.collections.asr";

/** Sizes of published models; the names are those of NVIDIA's recipes. */
export const GEOMETRIES = {
  "conformer-ctc-small": {
    d: 176,
    layers: 16,
    heads: 4,
    subsampling: "striding",
    factor: 4,
    channels: 176,
    kernel: 31,
    isStreaming: false,
    hasTransducer: false,
    vocabulary: 128,
  },
  "fastconformer-ctc-large": {
    d: 512,
    layers: 17,
    heads: 8,
    subsampling: "dw_striding",
    factor: 8,
    channels: 256,
    kernel: 9,
    isStreaming: false,
    hasTransducer: false,
    vocabulary: 1024,
  },
  "fastconformer-hybrid-large-streaming": {
    d: 512,
    layers: 17,
    heads: 8,
    subsampling: "dw_striding",
    factor: 8,
    channels: 256,
    kernel: 9,
    isStreaming: true,
    hasTransducer: true,
    vocabulary: 1024,
    hidden: 640,
  },
};

function config(g) {
  const labels = Array.from({ length: g.vocabulary }, (_, i) => `▁${i.toString(36)}`);
  const contexts = g.isStreaming ? "[[70,13],[70,6],[70,1],[70,0]]" : "[-1,-1]";
  const lines = [
    `target: ${asr}.models.${g.hasTransducer ? "hybrid_rnnt_ctc_models.EncDecHybridRNNTCTCModel" : "ctc_models.EncDecCTCModel"}`,
    "sample_rate: 16000",
    `labels: ${JSON.stringify(labels)}`,
    `preprocessor: {_target_: ${asr}.modules.AudioToMelSpectrogramPreprocessor, sample_rate: 16000, normalize: ${g.isStreaming ? "NA" : "per_feature"}, window_size: 0.025, window_stride: 0.01, window: hann, features: 80, n_fft: 512, pad_to: 0}`,
    `encoder: {_target_: ${asr}.modules.ConformerEncoder, feat_in: 80, n_layers: ${g.layers}, d_model: ${g.d}, n_heads: ${g.heads}, subsampling: ${g.subsampling}, subsampling_factor: ${g.factor}, subsampling_conv_channels: ${g.channels}, causal_downsampling: ${g.isStreaming}, conv_kernel_size: ${g.kernel}, conv_norm_type: ${g.isStreaming ? "layer_norm" : "batch_norm"}, conv_context_size: ${g.isStreaming ? "causal" : "null"}, att_context_style: ${g.isStreaming ? "chunked_limited" : "regular"}, att_context_size: ${contexts}}`,
  ];
  const head = `{_target_: ${asr}.modules.ConvASRDecoder, feat_in: ${g.d}, num_classes: ${g.vocabulary}, vocabulary: ${JSON.stringify(labels)}}`;
  if (!g.hasTransducer) return [...lines, `decoder: ${head}`, ""].join("\n");
  return [
    ...lines,
    `decoder: {_target_: ${asr}.modules.RNNTDecoder, blank_as_pad: true, vocab_size: ${g.vocabulary}, prednet: {pred_hidden: ${g.hidden}, pred_rnn_layers: 1}}`,
    `joint: {_target_: ${asr}.modules.RNNTJoint, num_classes: ${g.vocabulary}, vocabulary: ${JSON.stringify(labels)}, jointnet: {joint_hidden: ${g.hidden}, activation: relu, dropout: 0.2, encoder_hidden: ${g.d}, pred_hidden: ${g.hidden}}}`,
    "decoding: {strategy: greedy_batch, greedy: {max_symbols: 10}}",
    `aux_ctc: {decoder: ${head}}`,
    "",
  ].join("\n");
}

/** Names and shapes of every tensor, in the state dict's order. */
function* tensors(g) {
  const causalWidth = (w, n) =>
    n === 0 ? w : causalWidth(g.isStreaming ? Math.floor(w / 2) + 1 : Math.ceil(w / 2), n - 1);
  const numStages = Math.log2(g.factor);
  const c = g.channels;
  yield ["encoder.pre_encode.conv.0.weight", [c, 1, 3, 3]];
  yield ["encoder.pre_encode.conv.0.bias", [c]];
  for (let stage = 1; stage < numStages; stage++) {
    const isDepthwise = g.subsampling === "dw_striding";
    const at = isDepthwise ? 3 * stage - 1 : 2 * stage;
    yield [`encoder.pre_encode.conv.${at}.weight`, [c, isDepthwise ? 1 : c, 3, 3]];
    yield [`encoder.pre_encode.conv.${at}.bias`, [c]];
    if (!isDepthwise) continue;
    yield [`encoder.pre_encode.conv.${at + 1}.weight`, [c, c, 1, 1]];
    yield [`encoder.pre_encode.conv.${at + 1}.bias`, [c]];
  }
  yield ["encoder.pre_encode.out.weight", [g.d, c * causalWidth(80, numStages)]];
  yield ["encoder.pre_encode.out.bias", [g.d]];
  for (let i = 0; i < g.layers; i++) yield* layerTensors(g, `encoder.layers.${i}`);
  const ctc = g.hasTransducer ? "ctc_decoder" : "decoder";
  if (g.hasTransducer) {
    const h = g.hidden;
    yield ["decoder.prediction.embed.weight", [g.vocabulary + 1, h]];
    for (const part of ["ih", "hh"]) yield [`decoder.prediction.dec_rnn.lstm.weight_${part}_l0`, [4 * h, h]];
    for (const part of ["ih", "hh"]) yield [`decoder.prediction.dec_rnn.lstm.bias_${part}_l0`, [4 * h]];
    yield ["joint.pred.weight", [h, h]];
    yield ["joint.pred.bias", [h]];
    yield ["joint.enc.weight", [h, g.d]];
    yield ["joint.enc.bias", [h]];
    yield ["joint.joint_net.2.weight", [g.vocabulary + 1, h]];
    yield ["joint.joint_net.2.bias", [g.vocabulary + 1]];
  }
  yield [`${ctc}.decoder_layers.0.weight`, [g.vocabulary + 1, g.d, 1]];
  yield [`${ctc}.decoder_layers.0.bias`, [g.vocabulary + 1]];
}

function* layerTensors({ d, heads, kernel, isStreaming }, p) {
  const norm = function* (name) {
    yield [`${p}.${name}.weight`, [d]];
    yield [`${p}.${name}.bias`, [d]];
  };
  const layer = function* (name, out, ...rest) {
    yield [`${p}.${name}.weight`, [out, ...rest]];
    yield [`${p}.${name}.bias`, [out]];
  };
  for (const ff of ["feed_forward1", "feed_forward2"]) {
    yield* norm(`norm_${ff}`);
    yield* layer(`${ff}.linear1`, 4 * d, d);
    yield* layer(`${ff}.linear2`, d, 4 * d);
  }
  yield* norm("norm_conv");
  yield* layer("conv.pointwise_conv1", 2 * d, d, 1);
  yield* layer("conv.depthwise_conv", d, 1, kernel);
  yield* norm("conv.batch_norm");
  if (!isStreaming)
    yield* [
      [`${p}.conv.batch_norm.running_mean`, [d]],
      [`${p}.conv.batch_norm.running_var`, [d]],
    ];
  yield* layer("conv.pointwise_conv2", d, d, 1);
  yield* norm("norm_self_att");
  yield [`${p}.self_attn.pos_bias_u`, [heads, d / heads]];
  yield [`${p}.self_attn.pos_bias_v`, [heads, d / heads]];
  for (const part of ["q", "k", "v", "out"]) yield* layer(`self_attn.linear_${part}`, d, d);
  yield [`${p}.self_attn.linear_pos.weight`, [d, d]];
  yield* norm("norm_out");
}

/** Small random numbers that keep activations in range; norms are one, variances positive. */
function values(name, shape, seed) {
  const n = shape.reduce((a, b) => a * b, 1);
  if (/running_var$|norm.*\.weight$/.test(name)) return new Float32Array(n).fill(1);
  const spread = 1.7 / Math.sqrt(Math.max(1, n / shape[0]));
  const out = new Float32Array(n);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < n; i++) {
    // xorshift32: fast, and the same numbers on every machine.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = ((state >>> 0) / 2 ** 31 - 1) * spread;
  }
  return out;
}

const utf8 = (text) => Buffer.from(text, "utf8");
const u32 = (value) => {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(value);
  return b;
};
const u16 = (value) => {
  const b = Buffer.alloc(2);
  b.writeUInt16LE(value);
  return b;
};

/** `data.pkl`: an ordered dictionary of tensors, protocol 2, as torch writes it. */
function pickle(list) {
  const parts = [Buffer.from([0x80, 2]), utf8("ccollections\nOrderedDict\n"), utf8(")R")];
  const text = (value) => Buffer.concat([utf8("X"), u32(utf8(value).length), utf8(value)]);
  const int = (value) => Buffer.concat([utf8("J"), u32(value)]);
  const tuple = (items) => Buffer.concat([utf8("("), ...items, utf8("t")]);
  parts.push(utf8("("));
  list.forEach(([name, shape], key) => {
    const n = shape.reduce((a, b) => a * b, 1);
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    const storage = tuple([text("storage"), utf8("ctorch\nFloatStorage\n"), text(String(key)), text("cpu"), int(n)]);
    const args = tuple([
      storage,
      utf8("Q"),
      int(0),
      tuple(shape.map(int)),
      tuple(strides.map(int)),
      Buffer.from([0x89]),
      utf8("ccollections\nOrderedDict\n)R"),
    ]);
    parts.push(text(name), utf8("ctorch._utils\n_rebuild_tensor_v2\n"), args, utf8("R"));
  });
  parts.push(utf8("u."));
  return Buffer.concat(parts);
}

/** Writes a tar of the configuration and a stored zip of the tensors. */
export async function makeCheckpoint(name, path) {
  const g = GEOMETRIES[name];
  if (!g) throw new Error(`geometry: expected one of ${Object.keys(GEOMETRIES).join(", ")}, got ${name}.`);
  const list = [...tensors(g)];
  const file = await open(path, "w");
  let position = 0;
  const write = async (bytes) => {
    await file.write(bytes, 0, bytes.length, position);
    position += bytes.length;
  };
  const yaml = utf8(config(g));
  await write(tarHeader("./model_config.yaml", yaml.length));
  await write(yaml);
  await write(Buffer.alloc((512 - (yaml.length % 512)) % 512));
  const headerAt = position;
  await write(Buffer.alloc(512));
  const zipStart = position;
  const entries = [];
  const add = async (entryName, data) => {
    const bytes = utf8(`model_weights/${entryName}`);
    const start = position - zipStart;
    const extra = 4 + ((64 - ((start + 30 + bytes.length + 4) % 64)) % 64);
    const crc = crc32(data);
    const common = Buffer.concat([
      u16(20),
      u16(0),
      u16(0),
      u16(0),
      u16(0),
      u32(crc),
      u32(data.length),
      u32(data.length),
      u16(bytes.length),
    ]);
    await write(
      Buffer.concat([u32(0x04034b50), common, u16(extra), bytes, u16(0x4246), u16(extra - 4), Buffer.alloc(extra - 4)]),
    );
    await write(data);
    entries.push(
      Buffer.concat([u32(0x02014b50), u16(20), common, u16(0), u16(0), u16(0), u16(0), u32(0), u32(start), bytes]),
    );
  };
  await add("data.pkl", pickle(list));
  await add("byteorder", utf8("little"));
  for (const [key, [tensor, shape]] of list.entries()) {
    const data = values(tensor, shape, key + 1);
    await add(`data/${key}`, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  await add("version", utf8("3\n"));
  const directory = Buffer.concat(entries);
  const at = position - zipStart;
  await write(directory);
  await write(
    Buffer.concat([
      u32(0x06054b50),
      u16(0),
      u16(0),
      u16(entries.length),
      u16(entries.length),
      u32(directory.length),
      u32(at),
      u16(0),
    ]),
  );
  const zipBytes = position - zipStart;
  await write(Buffer.alloc(((512 - (zipBytes % 512)) % 512) + 1024));
  await file.write(tarHeader("./model_weights.ckpt", zipBytes), 0, 512, headerAt);
  await file.close();
}

function tarHeader(name, size) {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        0", 148);
  header.write("ustar\0", 257);
  header.write("00", 263);
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

if (process.argv[1] === import.meta.filename) {
  const [name, path] = process.argv.slice(2);
  await makeCheckpoint(name, path);
}

import { describe, expect, test } from "vitest";
import { ctc, decoderJoint, encoder, type FakeGraph, openFake } from "./foreign-fake.ts";

const fused = { "encoder-x.onnx": encoder, "decoder_joint-x.onnx": decoderJoint };

/** The graph with more inputs. */
const withInputs = (graph: FakeGraph, inputs: FakeGraph["inputs"]): FakeGraph => ({
  ...graph,
  inputs: { ...graph.inputs, ...inputs },
});

async function expectError(opened: ReturnType<typeof openFake>, code: string, ...texts: string[]): Promise<void> {
  const { error, loaded, closed } = await opened;
  expect(error?.code).toBe(code);
  for (const text of texts) expect(error?.message).toContain(text);
  expect(closed).toEqual(loaded);
}

describe("openForeignRecognizer", () => {
  test("describes a CTC model by its shapes and NeMo's recipe", async () => {
    const { recognizer } = await openFake({ "model.onnx": ctc });
    const { spec, tokenizer } = await recognizer;
    expect(spec.heads).toEqual({ ctc: { prefix: "", numClasses: 5, temperature: 1 } });
    expect(spec.encoder).toEqual({ kind: "graph", numMels: 80, outSize: 0, subsamplingFactor: 8 });
    expect(spec.features).toMatchObject({
      windowSamples: 400,
      hopSamples: 160,
      fftSize: 512,
      numMels: 80,
      highHz: 8000,
    });
    expect(spec.features.normalize).toEqual({ kind: "per_feature" });
    expect(tokenizer.decode([0, 2, 1])).toBe("ac b");
  });

  test("describes a transducer, its durations counted from what the joint network has beyond the tokens", async () => {
    const { recognizer } = await openFake(fused);
    expect((await recognizer).spec.heads.transducer).toMatchObject({
      kind: "rnnt",
      vocabularySize: 4,
      prediction: { numLayers: 1, hiddenSize: 3 },
      joint: { hiddenSize: 6, numOutputs: 5 },
      maxSymbols: 10,
    });
    const outputs = { ...decoderJoint.outputs, outputs: "float32 ? ? ? 8" };
    const tdt = await openFake({ ...fused, "decoder_joint-x.onnx": { ...decoderJoint, outputs } });
    expect((await tdt.recognizer).spec.heads.transducer).toMatchObject({ kind: "tdt", durations: [0, 1, 2] });
  });

  test("believes sherpa-onnx's metadata on normalisation, where nothing means none", async () => {
    const normalize = async (metadata: Record<string, string>) => {
      const { recognizer } = await openFake({ "model.onnx": { ...ctc, metadata: { vocab_size: "4", ...metadata } } });
      return (await recognizer).spec.features.normalize.kind;
    };
    expect(await normalize({ normalize_type: "per_feature" })).toBe("per_feature");
    expect(await normalize({ normalize_type: "all_features" })).toBe("all_features");
    expect(await normalize({ normalize_type: "" })).toBe("none");
    expect(await normalize({ normalize_type: "NA" })).toBe("none");
    expect(await normalize({})).toBe("none");
    const metadata = { vocab_size: "4", normalize_type: "global" };
    await expectError(
      openFake({ "model.onnx": { ...ctc, metadata } }),
      "MODEL_UNSUPPORTED",
      'folder › model.onnx: expected `normalize_type` per_feature, all_features, NA or nothing, got "global".',
    );
  });

  test("asks files for the number of features where the graph leaves it open", async () => {
    const open: FakeGraph = { ...ctc, inputs: { audio_signal: "float32 ? ? ?", length: "int64 ?" } };
    const numMels = async (graph: FakeGraph, files = {}) =>
      (await (await openFake({ "model.onnx": graph }, files)).recognizer).spec.features.numMels;
    expect(await numMels(open)).toBe(80);
    expect(await numMels({ ...open, metadata: { feat_dim: "128" } })).toBe(128);
    expect(await numMels(open, { "config.json": '{"features_size": 64}' })).toBe(64);
  });

  test("reads graphs whose ports have other names, by their places", async () => {
    const other: FakeGraph = {
      inputs: { x: "float32 ? 80 ?", x_lens: "int32 ?" },
      outputs: { logits: "float32 ? ? 5" },
    };
    const { recognizer } = await openFake({ "model.onnx": other });
    const waveform = new Float32Array(16_000);
    expect((await (await recognizer).transcribe([waveform]))[0].text).toBe("a");
  });

  test("refuses streaming exports by name and says what to do", async () => {
    const caches = { cache_last_channel: "float32 ? 2 ? 6", cache_last_channel_len: "int64 ?" };
    await expectError(
      openFake({ "model.onnx": withInputs(ctc, caches) }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected a graph for whole recordings, got a streaming export, with inputs for caches (`cache_last_channel`, `cache_last_channel_len`). Export the model without cache support, or use its .nemo.",
    );
  });

  test("refuses graphs that want more than features, or something else", async () => {
    await expectError(
      openFake({ "model.onnx": withInputs(ctc, { prompt_index: "int64 ?" }) }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected no inputs beyond `audio_signal`, `length`, got `prompt_index` int64 [?].",
    );
    const waveform: FakeGraph = { inputs: { input: "float32 ? ?" }, outputs: ctc.outputs };
    await expectError(
      openFake({ "model.onnx": waveform }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected an input `audio_signal` of float32 with 3 axes, got `input` float32 [?, ?].",
    );
    const stateless: FakeGraph = { inputs: { y: "int64 ? 2" }, outputs: { decoder_out: "float32 ? ?" } };
    const joiner: FakeGraph = { inputs: {}, outputs: {} };
    await expectError(
      openFake({ "encoder.onnx": encoder, "decoder.onnx": stateless, "joiner.onnx": joiner }),
      "MODEL_UNSUPPORTED",
      "folder › decoder.onnx: expected the two states of an LSTM, [layer, batch, hidden] of fixed sizes, among inputs and outputs, got 0 and 0.",
    );
  });

  test("refuses sizes that no model has before it reserves memory for them", async () => {
    const inputs = { audio_signal: "float32 ? 99999999 ?", length: "int64 ?" };
    await expectError(
      openFake({ "model.onnx": { ...ctc, inputs } }),
      "LIMIT_EXCEEDED",
      "folder › model.onnx: expected at most 1024 features, got 99999999.",
    );
    const state = { input_states_1: "float32 1 ? 99999999", input_states_2: "float32 1 ? 99999999" };
    await expectError(
      openFake({ ...fused, "decoder_joint-x.onnx": withInputs(decoderJoint, state) }),
      "MODEL_UNSUPPORTED",
      "expected the two states of an LSTM",
    );
  });

  test("refuses prediction networks that put a start symbol before their labels", async () => {
    const outputs = { ...decoderJoint.outputs, outputs: "float32 ? ? 2 5" };
    await expectError(
      openFake({ ...fused, "decoder_joint-x.onnx": { ...decoderJoint, outputs } }),
      "MODEL_UNSUPPORTED",
      "folder › decoder_joint-x.onnx: expected outputs for one label, got 2 for the one that was fed.",
    );
  });

  test("counts the steps of a CTC graph without lengths as NeMo's strided convolutions do, or not at all", async () => {
    const causal = (n: number): number => Math.floor((Math.floor((Math.floor(n / 2) + 1) / 2) + 1) / 2) + 1;
    const { recognizer } = await openFake({ "model.onnx": { ...ctc, numSteps: causal } });
    const { acoustic } = await recognizer;
    const batch = (numFrames: number) => ({
      data: new Float32Array(80 * numFrames),
      numMels: 80,
      numFrames,
      lengths: [numFrames],
    });
    for (const n of [1, 15, 16, 17, 99]) expect((await acoustic.encode(batch(n))).lengths).toEqual([causal(n)]);
    await expectError(
      openFake({ "model.onnx": { ...ctc, numSteps: (n) => Math.ceil(n / 8) + 3 } }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected an output `encoded_lengths`, got none, and 14 and 24 steps of 86 and 166 frames, which no subsampling of NeMo gives.",
    );
    await expectError(
      openFake({ "model.onnx": { ...ctc, numSteps: () => 7 } }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected a whole number of frames for every step, got 7 and 7 steps of 86 and 166 frames.",
    );
  });

  test("notices a list of tokens that belongs to another model", async () => {
    const tokens = "a 0\nb 1\n<blk> 2\n";
    await expectError(
      openFake({ "model.onnx": ctc }, { "tokens.txt": tokens }),
      "MODEL_INVALID",
      "folder › model.onnx: expected 4 tokens and blank, got a list of 2. The list of tokens belongs to another model, or blank is not its last.",
    );
    await expectError(
      openFake({ "model.onnx": { ...ctc, metadata: { vocab_size: "9" } } }),
      "MODEL_INVALID",
      "expected 9 tokens and blank, got a list of 4",
    );
    const outputs = { ...decoderJoint.outputs, outputs: "float32 ? ? ? 99" };
    await expectError(
      openFake({ ...fused, "decoder_joint-x.onnx": { ...decoderJoint, outputs } }),
      "MODEL_INVALID",
      "folder › encoder-x.onnx: expected a joint network of 5 outputs from 4 tokens and blank, or up to 16 durations more, got 99.",
    );
    await expectError(
      openFake(fused, { "tokens.txt": tokens, "config.json": '{"model_type": "nemo-conformer-rnnt"}' }),
      "MODEL_INVALID",
      "expected a joint network of 3 outputs from 2 tokens and blank, got 5.",
    );
  });

  test("refuses models of other families by what their files say", async () => {
    await expectError(
      openFake({ "model.onnx": { ...ctc, metadata: { is_giga_am: "1" } } }),
      "MODEL_UNSUPPORTED",
      "folder › model.onnx: expected one of NeMo's CTC or transducer models, got GigaAM by its metadata. Run it with sherpa-onnx.",
    );
    await expectError(
      openFake({ "model.onnx": { ...ctc, metadata: { model_type: "EncDecMultiTaskModel" } } }),
      "MODEL_UNSUPPORTED",
      "got EncDecMultiTaskModel by its metadata",
    );
    await expectError(
      openFake(fused, { "config.json": '{"model_type": "kaldi-rnnt"}' }),
      "MODEL_UNSUPPORTED",
      'folder › config.json: expected `model_type` to be one of nemo-conformer, nemo-conformer-ctc, nemo-conformer-rnnt, nemo-conformer-tdt, got "kaldi-rnnt".',
    );
  });

  test("names the file that cannot be read", async () => {
    await expectError(
      openFake({ "model.onnx": ctc }, { "config.json": "{" }),
      "FORMAT_INVALID",
      "folder › config.json: expected JSON",
    );
    await expectError(
      openFake({ "model.onnx": ctc }, { "config.json": '{"features_size": "many"}' }),
      "FORMAT_INVALID",
      'folder › config.json: expected `features_size` to be a whole number from 1 to 10000, got "many".',
    );
    const stored = (text: string) => openFake({ "model.onnx": { ...ctc, metadata: { nemo_stt_spec: text } } });
    await expectError(stored("{"), "FORMAT_INVALID", "folder › model.onnx: expected JSON in `nemo_stt_spec`");
    await expectError(stored('{"schema": "other"}'), "FORMAT_UNSUPPORTED", 'in `nemo_stt_spec`, got "other"');
    await expectError(
      stored('{"schema": "nemo-stt/model/1"}'),
      "FORMAT_INVALID",
      "expected features, decoding and durations in `nemo_stt_spec`, got none or other values",
    );
    await expectError(
      stored('{"schema": "nemo-stt/model/1", "features": {}, "decoding": {"confidence": {"entropyType": "shannon"}}}'),
      "FORMAT_INVALID",
      'folder › model.onnx: nemo_stt_spec.decoding.confidence.entropyType: expected "gibbs" or "tsallis" or "renyi", got "shannon". Export the model again.',
    );
    await expectError(
      openFake({ "model.onnx": ctc }, { "model_config.yaml": "preprocessor: [1]" }),
      "MODEL_INVALID",
      "preprocessor",
    );
    await expectError(
      openFake({ "model.onnx": ctc }, { "model_config.yaml": "preprocessor: {features: 64}" }),
      "MODEL_INVALID",
      "folder › model.onnx: expected 64 features from the model's description, got a graph of 80. The files belong to different models.",
    );
  });

  test("notices graphs of two models in one folder", async () => {
    await expectError(
      openFake({ "model.onnx": { ...ctc, numSteps: (n) => Math.ceil(n / 4) }, ...fused }),
      "MODEL_INVALID",
      "folder: expected the CTC graph and the transducer's to be of one model, got 80 and 80 features, 4 and 8 frames a step. Name the graph that is meant.",
    );
  });

  test("refuses an attention context, because the graph's own is fixed", async () => {
    const { recognizer } = await openFake({ "model.onnx": ctc });
    await expect((await recognizer).transcribe([new Float32Array(8000)], { attContext: [70, 1] })).rejects.toThrow(
      "attention context: expected none, because the graph's own is fixed, got [70,1]. Leave it out.",
    );
  });
});

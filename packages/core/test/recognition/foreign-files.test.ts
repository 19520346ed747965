import { describe, expect, test } from "vitest";
import { findForeignFiles, findTokensFile } from "../../src/recognition/foreign-files.ts";

const find = (names: string, graph?: string) => findForeignFiles("folder", names.split(" "), graph);

describe("findForeignFiles", () => {
  test("finds what NeMo's own export writes", () => {
    expect(find("large.onnx tokens.txt")).toEqual({ ctc: "large.onnx" });
    expect(find("encoder-large.onnx decoder_joint-large.onnx")).toEqual({
      transducer: { kind: "fused", encoder: "encoder-large.onnx", decoderJoint: "decoder_joint-large.onnx" },
    });
  });

  test("finds what sherpa-onnx reads", () => {
    expect(find("model.int8.onnx tokens.txt")).toEqual({ ctc: "model.int8.onnx" });
    expect(find("decoder.onnx encoder.onnx joiner.onnx tokens.txt")).toEqual({
      transducer: { kind: "separate", encoder: "encoder.onnx", decoder: "decoder.onnx", joiner: "joiner.onnx" },
    });
  });

  test("passes over what stands there for sherpa-onnx to stream from, unless it is named", () => {
    const names = "model.onnx streaming-model.onnx streaming-encoder.onnx tokens.txt";
    expect(find(names)).toEqual({ ctc: "model.onnx" });
    expect(find(names, "streaming-encoder.onnx")).toEqual({ ctc: "streaming-encoder.onnx" });
  });

  test("finds what onnx-asr reads, without its features and voice detector", () => {
    const names = "config.json decoder_joint-model.onnx encoder-model.onnx nemo128.onnx silero_vad.onnx vocab.txt";
    expect(find(names)).toEqual({
      transducer: { kind: "fused", encoder: "encoder-model.onnx", decoderJoint: "decoder_joint-model.onnx" },
    });
  });

  test("finds both heads of a hybrid", () => {
    expect(find("encoder.onnx decoder.onnx joiner.onnx model.onnx")).toEqual({
      ctc: "model.onnx",
      transducer: { kind: "separate", encoder: "encoder.onnx", decoder: "decoder.onnx", joiner: "joiner.onnx" },
    });
  });

  test("takes a model's own floats where it is there in several number formats", () => {
    const names =
      "encoder-model.int8.onnx decoder_joint-model.int8.onnx encoder-model.onnx decoder_joint-model.onnx model.fp16.onnx model.onnx";
    expect(find(names)).toEqual({
      ctc: "model.onnx",
      transducer: { kind: "fused", encoder: "encoder-model.onnx", decoderJoint: "decoder_joint-model.onnx" },
    });
  });

  test("stays with the number format of the graph that was named, as far as its parts have it", () => {
    const names = "encoder.int8.onnx encoder.onnx decoder.onnx joiner.int8.onnx joiner.onnx model.onnx";
    const transducer = {
      kind: "separate",
      encoder: "encoder.int8.onnx",
      decoder: "decoder.onnx",
      joiner: "joiner.int8.onnx",
    };
    expect(find(names, "encoder.int8.onnx")).toEqual({ transducer });
    expect(find(names, "joiner.int8.onnx")).toEqual({ transducer });
    expect(find(names, "model.onnx")).toEqual({ ctc: "model.onnx" });
  });

  test("takes the parts that carry the encoder's name", () => {
    const names = "encoder-a.onnx decoder_joint-a.onnx encoder-b.onnx decoder_joint-b.onnx";
    expect(find(names, "encoder-b.onnx")).toEqual({
      transducer: { kind: "fused", encoder: "encoder-b.onnx", decoderJoint: "decoder_joint-b.onnx" },
    });
    expect(() => find(names)).toThrow(
      "folder: expected the graphs of one model, got `encoder-a.onnx`, `encoder-b.onnx`. Name the graph that is meant.",
    );
  });

  test("names what is missing", () => {
    const hint = "Export the model again, or name the folder that holds it.";
    expect(() => find("encoder.onnx decoder.onnx tokens.txt")).toThrow(
      `folder: expected a graph \`joiner….onnx\` beside \`decoder.onnx\`, got encoder.onnx, decoder.onnx, tokens.txt. ${hint}`,
    );
    expect(() => find("encoder.onnx joiner.onnx")).toThrow("expected a graph `decoder….onnx` beside `joiner.onnx`");
    expect(() => find("encoder.onnx")).toThrow(
      "expected a graph `decoder_joint….onnx`, or `decoder….onnx` and `joiner….onnx`, beside `encoder.onnx`",
    );
    expect(() => find("decoder.onnx joiner.onnx")).toThrow("expected a graph `encoder….onnx` beside `decoder.onnx`");
    expect(() => findForeignFiles("folder", [])).toThrow(
      `folder: expected a graph \`model.onnx\` or \`encoder….onnx\`, got an empty folder. ${hint}`,
    );
  });

  test("shows a crowded folder in part", () => {
    const names = Array.from({ length: 40 }, (_, i) => `file${i}.txt`);
    expect(() => findForeignFiles("folder", names)).toThrow("file10.txt, file11.txt, …. Export");
  });
});

describe("findTokensFile", () => {
  test("prefers a file that carries the graph's name, then our exact one", () => {
    const names = ["tokens.txt", "vocab.txt", "a.tokens.txt", "tokenizer.txt"];
    expect(findTokensFile("folder", names, ["a.onnx"])).toBe("a.tokens.txt");
    expect(findTokensFile("folder", names, ["b.onnx"])).toBe("tokenizer.txt");
    expect(findTokensFile("folder", ["vocab.txt", "tokens.txt"], ["b.onnx"])).toBe("tokens.txt");
    expect(findTokensFile("folder", ["vocab.txt"], ["b.onnx"])).toBe("vocab.txt");
  });

  test("says which names it looked for", () => {
    expect(() => findTokensFile("folder", ["a.onnx"], ["a.onnx"])).toThrow(
      "folder: expected `tokens.txt`, `vocab.txt` or `a.tokens.txt` beside `a.onnx`, got none of them. Put the model's list of tokens there: a token and its number on each line.",
    );
  });
});

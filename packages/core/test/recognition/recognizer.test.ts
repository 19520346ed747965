import { afterAll, describe, expect, test } from "vitest";
import { MANIFEST_NAME } from "../../src/export/manifest.ts";
import { openAcousticModel } from "../../src/recognition/acoustic.ts";
import { classifyRecordings } from "../../src/recognition/classifier.ts";
import { openModelFolder } from "../../src/recognition/folder.ts";
import { openRecognizer } from "../../src/recognition/recognizer.ts";
import type { Runtime } from "../../src/runtime.ts";
import { bundled, exportBundled, memoryFolder, recording, testRuntime } from "./bundled.ts";

const runtime = await testRuntime();
const speech = await bundled("speech");
const waveform = await recording("garden-slt");
const open = () => openRecognizer(speech, runtime);

describe("openRecognizer", () => {
  test("refuses a classifier", async () => {
    await expect(openRecognizer(await bundled("vad"), runtime)).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message:
        "vad: expected a model that writes text, got EncDecFrameClassificationModel, a classifier. Use it with `vad`.",
    });
  });

  test("frees the graphs it has when the next one is refused", async () => {
    const closed: string[] = [];
    let numLoaded = 0;
    const failing: Runtime = {
      name: "failing",
      async load() {
        numLoaded++;
        if (numLoaded === 3) throw new Error("no more");
        const name = `graph ${numLoaded}`;
        return {
          inputs: [],
          outputs: [],
          metadata: {},
          run: async () => ({}),
          close: async () => void closed.push(name),
        };
      },
    };
    await expect(openRecognizer(speech, failing)).rejects.toThrow("no more");
    expect(closed.sort()).toEqual(["graph 1", "graph 2"]);
  });
});

describe("transcribe", async () => {
  const recognizer = await open();
  afterAll(() => recognizer.close());

  test("gives NeMo's heads, the transducer first", async () => {
    const [byDefault] = await recognizer.transcribe([waveform]);
    const [transducer] = await recognizer.transcribe([waveform], { head: "transducer", attContext: [70, 13] });
    expect(byDefault).toEqual(transducer);
    expect(byDefault.head).toBe("transducer");
    expect(byDefault.text).toMatch(/^she opened the window and looked out upon the garden/);
    expect(byDefault.longForm).toBe("whole");
    expect(await recognizer.transcribe([])).toEqual([]);
  });

  test("looks back less far where asked, as streams do", async () => {
    const [less] = await recognizer.transcribe([waveform], { attContext: [14, 13] });
    expect(less.text).toMatch(/^she opened the window/);
  });

  test("names the contexts and heads there are", async () => {
    await expect(recognizer.transcribe([waveform], { attContext: [70, 5] })).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message:
        "attention context: expected one of [70,13] [70,6] [70,1] [70,0], which the model was trained with, got [70,5]. Choose one of these.",
    });
    const confidence = { method: "softmax" as "entropy" };
    await expect(recognizer.transcribe([waveform], { confidence })).rejects.toMatchObject({
      code: "ARGUMENT_INVALID",
      message:
        'transcribe: options.confidence.method: expected "max_prob" or "entropy", got "softmax". Leave it out, or give one.',
    });
    await expect(recognizer.transcribe([waveform], { head: "aed" as "ctc" })).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: `${recognizer.spec.className}: expected head transducer or ctc, got aed. Choose a head the model has.`,
    });
  });

  test("stops where its signal is aborted, with the signal's reason", async () => {
    const controller = new AbortController();
    controller.abort(new Error("enough"));
    await expect(recognizer.transcribe([waveform], { signal: controller.signal })).rejects.toThrow("enough");
    const later = new AbortController();
    const pending = recognizer.transcribe(
      Array.from({ length: 20 }, () => waveform),
      { signal: later.signal, limits: { maxRows: 1, maxSteps: 1, maxPadding: 0 } },
    );
    later.abort(new Error("half way"));
    await expect(pending).rejects.toThrow("half way");
  });

  test("is refused after close, which may be called twice", async () => {
    const closed = await open();
    await Promise.all([closed.close(), closed.close()]);
    await expect(closed.transcribe([waveform])).rejects.toMatchObject({
      code: "CLOSED",
      message: expect.stringMatching(/: expected an open graph, got one after `close\(\)`\. Load it again\.$/),
    });
  });
});

describe("openModelFolder", async () => {
  const files = await exportBundled("vad");
  const manifest = JSON.parse(new TextDecoder().decode(files.get(MANIFEST_NAME)));
  const withManifest = (value: unknown) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return openModelFolder(memoryFolder(new Map([...files, [MANIFEST_NAME, new TextEncoder().encode(text)]]), "m"));
  };
  const refused = (value: unknown, code: string, message: string) =>
    expect(withManifest(value)).rejects.toMatchObject({ code, message: `m › manifest.json: ${message}` });

  test("reads what was exported", async () => {
    const model = await withManifest(manifest);
    expect(model.spec.className).toBe("EncDecFrameClassificationModel");
    expect(model.tokenizer).toBeUndefined();
    expect(model.featureTensors.window?.length).toBe(400);
    expect(model.featureTensors.filterbank?.length).toBe(80 * 257);
  });

  test("refuses other schemas, paths that lead outside and what is no manifest", async () => {
    await refused("{", "FORMAT_INVALID", "expected JSON, got text that is none. Export the model again.");
    await refused(
      { ...manifest, schema: "nemo-stt/model/99" },
      "FORMAT_UNSUPPORTED",
      'expected schema nemo-stt/model/1, got "nemo-stt/model/99". Export the model again with this version.',
    );
    for (const encoder of ["../weights.onnx", "/etc/passwd", "..\\x.onnx", 7]) {
      await refused(
        { ...manifest, graphs: { encoder } },
        "FORMAT_INVALID",
        `expected graphs to be names of files in the same folder, got ${JSON.stringify(encoder)}. Export the model again.`,
      );
    }
    const neither = "expected graphs and a spec, got neither or one. Export the model again.";
    await refused({ schema: manifest.schema }, "FORMAT_INVALID", neither);
    await refused({ ...manifest, graphs: {} }, "FORMAT_INVALID", neither);
    const { spec } = manifest;
    const decoding = { ...spec.decoding, confidence: { ...spec.decoding.confidence, method: "softmax" } };
    await refused(
      { ...manifest, spec: { ...spec, decoding } },
      "FORMAT_INVALID",
      'spec.decoding.confidence.method: expected "max_prob" or "entropy", got "softmax". Export the model again.',
    );
  });

  test("misses a manifest", async () => {
    await expect(openModelFolder(memoryFolder(new Map(), "empty"))).rejects.toMatchObject({
      code: "NOT_FOUND",
      message:
        "empty: expected a file `manifest.json`, got none. Name a folder that `export` wrote, or export the model again.",
    });
  });

  test("gives no classes of a model that writes text", async () => {
    const acoustic = await openAcousticModel(speech, runtime);
    await expect(classifyRecordings(speech, acoustic, [waveform])).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: `speech: expected a classifier, got ${speech.spec.className}, which writes text. Use \`transcribe\`.`,
    });
    await acoustic.close();
  });
});

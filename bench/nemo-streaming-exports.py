#!/usr/bin/env python3
"""What users of sherpa-onnx stream from: CTC models exported by NeMo itself with caches, one for each latency mode, and
quantised as sherpa-onnx's own scripts do.

    python nemo-streaming-exports.py OUT model.nemo [--contexts 70,0 70,1 70,6 70,13]
    npm run bench -- --nemo-streaming-exports OUT

Writes OUT/model.nemo (a link), OUT/L,R/float32/streaming-model.onnx and OUT/L,R/int8/streaming-model.onnx with tokens.txt. Development only: needs
Python, NeMo (`pip install "nemo_toolkit[asr]"`), onnx and onnxruntime.
"""
import argparse
import logging
import os

import onnx
from nemo.utils import logging as nemo_logging
from onnxruntime.quantization import QuantType, quantize_dynamic

nemo_logging.setLevel(logging.ERROR)
import nemo.collections.asr as asr  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("model")
parser.add_argument("--contexts", nargs="*", default=["70,0", "70,1", "70,6", "70,13"])
args = parser.parse_args()

for context in args.contexts:
    model = asr.models.ASRModel.restore_from(args.model, map_location="cpu").eval()
    model.encoder.set_default_att_context_size([int(size) for size in context.split(",")])
    config = {"cache_support": "True"}
    if hasattr(model, "ctc_decoder"):
        config["decoder_type"] = "ctc"
    model.set_export_config(config)
    vocabulary = (model.ctc_decoder if hasattr(model, "ctc_decoder") else model.decoder).vocabulary
    for kind in ("float32", "int8"):
        os.makedirs(f"{args.out}/{context}/{kind}", exist_ok=True)
        with open(f"{args.out}/{context}/{kind}/tokens.txt", "w") as f:
            f.write("".join(f"{piece} {i}\n" for i, piece in enumerate(vocabulary)) + f"<blk> {len(vocabulary)}\n")
    plain = f"{args.out}/{context}/float32/streaming-model.onnx"
    model.export(plain, onnx_opset_version=17)
    graph = onnx.load(plain)
    streaming = model.encoder.streaming_cfg
    channel, time, _ = model.encoder.get_initial_cache_state(batch_size=1)
    metadata = dict(vocab_size=len(vocabulary), subsampling_factor=model.encoder.subsampling_factor, model_type=type(model).__name__,
                    window_size=streaming.chunk_size[1] + streaming.pre_encode_cache_size[1], chunk_shift=streaming.shift_size[1],
                    normalize_type="", version=1, url="nemo", comment="NeMo's own export")
    # NeMo's own axes are [layer, batch, …], those of the export [batch, layer, …].
    for name, cache in (("cache_last_channel", channel), ("cache_last_time", time)):
        layers, _, *sizes = cache.shape
        metadata |= {f"{name}_dim{i + 1}": size for i, size in enumerate([layers, *sizes])}
    del graph.metadata_props[:]
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, str(value)
    onnx.save(graph, plain)
    quantize_dynamic(plain, f"{args.out}/{context}/int8/streaming-model.onnx", weight_type=QuantType.QUInt8)
    print(context, metadata, flush=True)

link = f"{args.out}/model.nemo"
if not os.path.lexists(link):
    os.symlink(os.path.abspath(args.model), link)

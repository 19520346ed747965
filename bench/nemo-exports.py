#!/usr/bin/env python3
"""What users of sherpa-onnx run: CTC models exported by NeMo itself, and quantised as sherpa-onnx's own scripts do.

    python nemo-exports.py OUT model.nemo [model.nemo ...]
    npm run bench -- --nemo-exports OUT

For every checkpoint it writes OUT/NAME.nemo (a link), OUT/NAME/float32/model.onnx and OUT/NAME/int8/model.onnx with
tokens.txt. Development only: needs Python, NeMo (`pip install "nemo_toolkit[asr]"`), onnx and onnxruntime.
"""
import logging
import os
import sys

import onnx
from nemo.utils import logging as nemo_logging
from onnxruntime.quantization import QuantType, quantize_dynamic

nemo_logging.setLevel(logging.ERROR)
import nemo.collections.asr as asr  # noqa: E402

out, *checkpoints = sys.argv[1:]
for path in checkpoints:
    name = os.path.splitext(os.path.basename(path))[0]
    model = asr.models.ASRModel.restore_from(path, map_location="cpu").eval()
    if hasattr(model, "ctc_decoder"):
        model.set_export_config({"decoder_type": "ctc"})
    vocabulary = (model.ctc_decoder if hasattr(model, "ctc_decoder") else model.decoder).vocabulary
    for kind in ("float32", "int8"):
        os.makedirs(f"{out}/{name}/{kind}", exist_ok=True)
        with open(f"{out}/{name}/{kind}/tokens.txt", "w") as f:
            f.write("".join(f"{piece} {i}\n" for i, piece in enumerate(vocabulary)) + f"<blk> {len(vocabulary)}\n")
    plain = f"{out}/{name}/float32/model.onnx"
    model.export(plain, onnx_opset_version=17)
    graph = onnx.load(plain)
    normalize = str(model.cfg.preprocessor.normalize)
    metadata = dict(vocab_size=len(vocabulary), subsampling_factor=model.encoder.subsampling_factor, model_type=type(model).__name__,
                    normalize_type="per_feature" if normalize == "per_feature" else "", version=1, url="nemo", comment="NeMo's own export")
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, str(value)
    onnx.save(graph, plain)
    quantize_dynamic(plain, f"{out}/{name}/int8/model.onnx", weight_type=QuantType.QUInt8)
    link = f"{out}/{name}.nemo"
    if not os.path.lexists(link):
        os.symlink(os.path.abspath(path), link)

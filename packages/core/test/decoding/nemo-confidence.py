"""Writes nemo-confidence.json: NeMo's own confidence of made-up distributions. Needs nemo_toolkit[asr] 3.0.0.

    python nemo-confidence.py > nemo-confidence.json
"""
import json

import torch
from nemo.collections.asr.parts.utils.asr_confidence_utils import get_confidence_measure_bank

torch.manual_seed(1)
logits = [torch.zeros(6), torch.randn(6), torch.randn(17) * 4, torch.randn(40) * 2, torch.tensor([0.0, 30.0, -5.0, 1.0])]
cases = []
for name, measure in get_confidence_measure_bank().items():
    for alpha in (0.33, 0.5, 1.0, 1.7):
        values = [float(measure(torch.log_softmax(x.double(), -1), v=len(x), t=alpha)) for x in logits]
        cases.append(dict(name=name, alpha=alpha, values=values))
rows = ",\n".join(json.dumps(x.tolist()) for x in logits)
print('{"logits": [\n%s\n], "cases": [\n%s\n]}' % (rows, ",\n".join(json.dumps(c) for c in cases)))

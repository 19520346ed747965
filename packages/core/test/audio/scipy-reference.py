"""Records what scipy.signal.resample_poly gives: `python scipy-reference.py scipy-reference.json`."""

import json
import math
import sys

import numpy as np
from scipy.signal import resample_poly

PAIRS = [
    (48000, 16000), (44100, 16000), (22050, 16000), (8000, 16000), (11025, 16000), (96000, 16000), (32000, 16000),
    (16000, 8000),
]


def noise(num_samples):
    state, out = 12345, []
    for _ in range(num_samples):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(((state >> 16) - 32768) / 65536)
    return np.array(out, dtype=np.float32)


signals = []
for from_hz, to_hz in PAIRS:
    divisor = math.gcd(from_hz, to_hz)
    samples = resample_poly(noise(250), to_hz // divisor, from_hz // divisor)
    signals.append(dict(fromHz=from_hz, toHz=to_hz, samples=[float(f"{v:.7g}") for v in samples]))
with open(sys.argv[1], "w") as file:
    json.dump(signals, file)

"""Records what librosa (soxr_hq), and so NeMo, resamples: `python soxr-reference.py soxr-reference.json`."""

import json
import sys

import librosa
import numpy as np

PAIRS = [
    (48000, 16000), (44100, 16000), (32000, 16000), (24000, 16000), (22050, 16000), (12000, 16000), (11025, 16000),
    (8000, 16000), (96000, 16000), (88200, 16000), (16000, 8000),
]
LENGTHS = [1, 2, 3, 5, 7, 100, 101, 44100, 48000, 123457]


def waveform(num_samples, silence):
    """Silence, then noise: soxr's stages cut their own spread off before the first sample."""
    state, out = 12345, []
    for i in range(num_samples):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(0.0 if i < silence else ((state >> 16) - 32768) / 65536)
    return np.array(out, dtype=np.float32)


signals = []
for from_hz, to_hz in PAIRS:
    silence = 110 * from_hz // min(from_hz, to_hz)
    samples = librosa.resample(waveform(silence + 250, silence), orig_sr=from_hz, target_sr=to_hz)
    signals.append(dict(fromHz=from_hz, toHz=to_hz, silence=silence, samples=[float(f"{v:.7g}") for v in samples]))
lengths = [
    dict(fromHz=f, toHz=t, numInput=n, numOutput=len(librosa.resample(np.ones(n, np.float32), orig_sr=f, target_sr=t)))
    for f, t in PAIRS
    for n in LENGTHS
]
with open(sys.argv[1], "w") as file:
    json.dump(dict(signals=signals, lengths=lengths), file)

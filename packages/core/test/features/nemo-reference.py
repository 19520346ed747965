"""Records what NeMo's front ends compute from synthetic waveforms: `python nemo-reference.py nemo-reference.json`.

Needs NeMo 3.0.0 with torch on the CPU. `mel-torchaudio` follows `FilterbankFeaturesTA` of NeMo 2.5, which 3.0.0 no
longer has, over the copy of torchaudio that 3.0.0 carries.
"""

import hashlib
import json
import sys

import torch
from nemo.collections.asr.modules.audio_preprocessing import AudioToMFCCPreprocessor
from nemo.collections.asr.parts.preprocessing.features import FilterbankFeatures
from nemo.collections.audio.parts.utils.transforms import MelSpectrogram

MEL = dict(
    kind="mel", sampleRateHz=16000, windowSamples=400, hopSamples=160, window="hann", fftSize=512, preEmphasis=0.97,
    numMels=10, lowHz=0, highHz=8000, melNorm="slaney", magPower=2, log=True,
    logZeroGuard=dict(kind="add", value=2**-24), normalize=dict(kind="none"), frameSplicing=1, padTo=0, padValue=0,
    exactPad=False, numMfcc=10, mfccNorm="ortho", mfccLog=True,
)
TORCHAUDIO = dict(MEL, kind="mel-torchaudio")
MFCC = dict(MEL, kind="mfcc", numMfcc=8, melNorm="none", preEmphasis=None)


def waveform(num_samples):
    """Noise between two sawteeth, in steps of loudness: every value is exact in float32."""
    state, out = 12345, []
    for i in range(num_samples):
        state = (state * 1664525 + 1013904223) % 2**32
        noise = ((state >> 16) - 32768) / 32768
        tone = ((i * 5) % 128 - 64) / 128
        out.append((noise * 0.25 + tone * 0.5) * 2.0 ** -((i // 300) % 5))
    return torch.tensor(out, dtype=torch.float32)


def mel(spec, x):
    normalize = spec["normalize"]["kind"]
    if normalize == "fixed":
        normalize = dict(fixed_mean=spec["normalize"]["mean"], fixed_std=spec["normalize"]["std"])
    features = FilterbankFeatures(
        sample_rate=spec["sampleRateHz"], n_window_size=spec["windowSamples"], n_window_stride=spec["hopSamples"],
        window=spec["window"], normalize=normalize, n_fft=spec["fftSize"], preemph=spec["preEmphasis"],
        nfilt=spec["numMels"], lowfreq=spec["lowHz"], highfreq=spec["highHz"], log=spec["log"],
        log_zero_guard_type=spec["logZeroGuard"]["kind"], log_zero_guard_value=spec["logZeroGuard"]["value"],
        pad_to=spec["padTo"], frame_splicing=spec["frameSplicing"], exact_pad=spec["exactPad"],
        pad_value=spec["padValue"], mag_power=spec["magPower"],
        mel_norm=None if spec["melNorm"] == "none" else spec["melNorm"],
    ).eval()
    return features(x[None], torch.tensor([len(x)]))


def mel_torchaudio(spec, x):
    window = dict(hann=torch.hann_window, hamming=torch.hamming_window)[spec["window"]]
    extractor = MelSpectrogram(
        sample_rate=spec["sampleRateHz"], win_length=spec["windowSamples"], hop_length=spec["hopSamples"],
        n_mels=spec["numMels"], window_fn=window, mel_scale="slaney", norm="slaney", n_fft=spec["fftSize"],
        f_max=spec["highHz"], f_min=spec["lowHz"], wkwargs=dict(periodic=False),
    )
    if spec["preEmphasis"] is not None:
        x = x - spec["preEmphasis"] * torch.nn.functional.pad(x, (1, 0))[:-1]
    y = extractor(x[None])
    guard = spec["logZeroGuard"]
    y = (y + guard["value"] if guard["kind"] == "add" else y.clamp(min=guard["value"])).log()
    length = len(x) // spec["hopSamples"] + 1
    if spec["normalize"]["kind"] != "none":
        dims = 2 if spec["normalize"]["kind"] == "per_feature" else [1, 2]
        mean = y.sum(dim=dims, keepdim=True) / length
        variance = ((y - mean) ** 2).sum(dim=dims, keepdim=True) / (length - 1)
        y = (y - mean) / (variance.clamp(min=guard["value"]).sqrt() + 1e-5)
    return y, torch.tensor([length])


def mfcc(spec, x):
    features = AudioToMFCCPreprocessor(
        sample_rate=spec["sampleRateHz"], window_size=None, window_stride=None, n_window_size=spec["windowSamples"],
        n_window_stride=spec["hopSamples"], window=spec["window"], n_fft=spec["fftSize"], lowfreq=spec["lowHz"],
        highfreq=spec["highHz"], n_mels=spec["numMels"], n_mfcc=spec["numMfcc"],
        norm=None if spec["mfccNorm"] == "none" else spec["mfccNorm"], log=spec["mfccLog"],
    ).eval()
    return features(input_signal=x[None], length=torch.tensor([len(x)]))


RUN = {"mel": mel, "mel-torchaudio": mel_torchaudio, "mfcc": mfcc}
FIXED = dict(kind="fixed", mean=[-8 + 0.5 * m for m in range(10)], std=[1 + 0.25 * m for m in range(10)])
CASES = [
    (MEL, {}, [1, 159, 160, 161, 400, 1600, 2077]),
    (MEL, dict(normalize=dict(kind="per_feature")), [100, 160, 320, 2077]),
    (MEL, dict(normalize=dict(kind="all_features")), [160, 2077]),
    (MEL, dict(normalize=FIXED), [2077]),
    (MEL, dict(padTo=16, padValue=-3.5), [100, 2077, 2400]),
    (MEL, dict(frameSplicing=3, numMels=4, normalize=dict(kind="per_feature")), [1000]),
    (MEL, dict(exactPad=True), [160, 400, 1600, 2077]),
    (MEL, dict(exactPad=True, preEmphasis=None, normalize=dict(kind="per_feature")), [2077]),
    (MEL, dict(preEmphasis=None, window="hamming", melNorm="none"), [2077]),
    (MEL, dict(magPower=1, window="blackman", lowHz=100, highHz=7000), [2077]),
    (MEL, dict(magPower=1.5, window="bartlett"), [2077]),
    (MEL, dict(log=False), [2077]),
    (MEL, dict(logZeroGuard=dict(kind="clamp", value=1.1754943508222875e-38)), [2077]),
    (MEL, dict(logZeroGuard=dict(kind="clamp", value=1e-5)), [2077]),
    (MEL, dict(sampleRateHz=8000, windowSamples=200, hopSamples=80, fftSize=256, highHz=4000), [80, 1041]),
    (MEL, dict(windowSamples=275, hopSamples=110, fftSize=400), [109, 110, 1041]),
    (MEL, dict(windowSamples=301, hopSamples=111, fftSize=301), [110, 111, 1041]),
    (MEL, dict(windowSamples=1000, hopSamples=700, fftSize=1024), [2077]),
    (MEL, dict(windowSamples=64, hopSamples=200, fftSize=64), [2077]),
    (TORCHAUDIO, dict(windowSamples=320), [257, 320, 2077]),
    (TORCHAUDIO, dict(normalize=dict(kind="per_feature")), [320, 2077]),
    (TORCHAUDIO, dict(normalize=dict(kind="all_features"), preEmphasis=None, window="hamming"), [2077]),
    (TORCHAUDIO, dict(logZeroGuard=dict(kind="clamp", value=1e-4), padTo=16), [2077]),
    (MFCC, {}, [257, 320, 1600, 2077]),
    (MFCC, dict(mfccLog=False), [2077]),
    (MFCC, dict(mfccNorm="none", window="hamming", lowHz=50, numMels=12, numMfcc=12), [2077]),
    (MFCC, dict(windowSamples=200, hopSamples=300, fftSize=256), [2077]),
]


def rounded(value):
    return float(f"{value:.7g}")


cases = []
with torch.no_grad():
    for base, changes, lengths in CASES:
        spec = {**base, **changes}
        for num_samples in lengths:
            data, valid = RUN[spec["kind"]](spec, waveform(num_samples))
            cases.append(dict(
                kind=spec["kind"], changes=changes, numSamples=num_samples, numMels=data.shape[1],
                numFrames=data.shape[2], validFrames=int(valid[0]), data=[rounded(v) for v in data[0].flatten().tolist()],
            ))
# One frame of 512 samples through torch's own transform, digits enough for every bit.
window = torch.hann_window(512, periodic=True)
frame = waveform(512) * window
bins = torch.view_as_real(torch.fft.rfft(frame))
exact = lambda tensor: [float(f"{v:.9g}") for v in tensor.flatten().tolist()]
spectrum = dict(window=exact(window), bins=exact(bins))


def power_hash(size):
    """SHA-256 of the powers of all bins of one frame, float32, little-endian."""
    parts = torch.view_as_real(torch.fft.rfft(waveform(size))).numpy()
    power = (parts * parts).sum(axis=1, dtype="float32")
    return hashlib.sha256(power.astype("<f4").tobytes()).hexdigest()


spectra = {size: power_hash(size) for size in (128, 256, 512, 1024, 2048, 4096)}

with open(sys.argv[1], "w") as file:
    json.dump(dict(bases={"mel": MEL, "mel-torchaudio": TORCHAUDIO, "mfcc": MFCC}, spectrum=spectrum, spectra=spectra, cases=cases), file, separators=(",", ":"))

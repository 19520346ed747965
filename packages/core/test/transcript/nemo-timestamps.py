"""Writes nemo-timestamps.json: the times that NeMo itself gives to made-up token sequences. Needs nemo_toolkit[asr] 3.0.0.

    python nemo-timestamps.py > nemo-timestamps.json
"""
import copy
import io
import json
import logging
import random
import tempfile

import sentencepiece
import torch
from nemo.collections.asr.parts.submodules.ctc_decoding import CTCBPEDecoding, CTCBPEDecodingConfig, CTCDecoding, CTCDecodingConfig
from nemo.collections.asr.parts.submodules.rnnt_decoding import RNNTBPEDecoding
from nemo.collections.asr.parts.utils.rnnt_utils import Hypothesis
from nemo.collections.asr.parts.utils.tokenizer_utils import extract_punctuation_from_vocab
from nemo.collections.common.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer
from nemo.utils import logging as nemo_logging
from omegaconf import OmegaConf
from tokenizers.decoders import WordPiece

nemo_logging.setLevel(logging.ERROR)
logging.disable(logging.WARNING)
random.seed(7)
TEXT = """Hello there, how are you? I'm fine, thanks. It's a test - isn't it? Well: yes! No.
The cat sat on the mat. A cat, a mat; what's that? Stop! Go on, then. That is it.""".splitlines() * 20
STRIDE, FACTOR = 0.01, 8


def sentencepiece_tokenizer():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, vocab_size=50, model_type="unigram",
                                             bos_id=-1, eos_id=-1, unk_id=0, minloglevel=2)
    with tempfile.NamedTemporaryFile(suffix=".model") as f:
        f.write(model.getvalue())
        f.flush()
        tokenizer = SentencePieceTokenizer(f.name)
    tokenizer.tokenizer.vocab_size = tokenizer.vocab_size  # as NeMo's models do (mixins.py)
    return tokenizer


class WordPieceTokenizer:
    """NeMo's AutoTokenizer as far as decoding reads it, with the decoder of the `tokenizers` library behind it."""

    def __init__(self, vocab):
        self.vocab, self.vocab_size, self.tokenizer = vocab, len(vocab), self

    def get_vocab(self):
        return {piece: i for i, piece in enumerate(self.vocab)}

    def ids_to_tokens(self, ids):
        return [self.vocab[i] for i in ids]

    def tokens_to_text(self, tokens):
        return WordPiece().decode(list(tokens))


def ctc_config(cls, rules):
    cfg = OmegaConf.structured(cls())
    OmegaConf.set_struct(cfg, False)
    return OmegaConf.merge(cfg, dict(strategy="greedy", compute_timestamps=True, **rules))


def with_seconds(items):
    from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs
    h = Hypothesis(score=0.0, y_sequence=[])
    h.timestamp = items
    return process_timestamp_outputs(h, FACTOR, STRIDE)[0].timestamp


def brief(h):
    number = lambda x: x.item() if hasattr(x, "item") else x
    stamps = with_seconds({k: h.timestamp[k] for k in ("char", "word", "segment")})
    flat = lambda kind: [[("".join(x[kind]) if isinstance(x[kind], list) else x[kind]), number(x["start_offset"]), number(x["end_offset"])] for x in stamps[kind]]
    return dict(text=h.text, char=flat("char"), word=flat("word"), segment=flat("segment"), seconds=[number(x[k]) for x in stamps["word"] for k in ("start", "end")])


def ctc_case(decoding, blank, tokens, rules):
    labels = []
    for t in tokens:
        labels += [blank] * random.choice([0, 0, 1, 3]) + [t] * random.choice([1, 1, 2])
    labels += [blank] * random.choice([0, 2])
    log_probs = torch.full((1, len(labels), blank + 1), -9.0)
    for i, t in enumerate(labels):
        log_probs[0, i, t] = -0.01
    h = decoding.ctc_decoder_predictions_tensor(log_probs, torch.tensor([len(labels)]), return_hypotheses=True)[0]
    return dict(head="ctc", rules=rules, labels=labels, **brief(h))


def transducer_case(tokenizer, tokens, durations, rules):
    d = RNNTBPEDecoding.__new__(RNNTBPEDecoding)
    d.cfg, d.tokenizer, d.blank_id, d.supported_punctuation = OmegaConf.create({}), tokenizer, tokenizer.vocab_size, extract_punctuation_from_vocab(tokenizer.vocab)
    d.word_seperator, d.segment_seperators, d.segment_gap_threshold = rules.get("word_seperator", " "), rules.get("segment_seperators", [".", "?", "!"]), rules.get("segment_gap_threshold")
    d.big_blank_durations, d.durations, d._is_tdt, d.compute_hypothesis_token_set, d.compute_langs = None, durations, bool(durations), False, False
    d.num_extra_outputs, d.strip_lang_tags = len(durations), False
    import re
    if d.supported_punctuation:
        d.space_before_punct_pattern = re.compile(r'(\s)(' + '|'.join(re.escape(p) for p in d.supported_punctuation) + ')')
    if durations:
        d._compute_offsets, d._refine_timestamps = d._compute_offsets_tdt, d._refine_timestamps_tdt
    t, steps, chosen = 0, [], []
    for _ in tokens:
        t += random.choice([0, 0, 1, 4])
        steps.append(t)
        chosen.append(random.choice(durations) if durations else 0)
        t += chosen[-1]
    h = Hypothesis(score=0.0, y_sequence=list(tokens), timestamp=list(steps), token_duration=list(chosen))
    h = d.compute_rnnt_timestamps(d.decode_hypothesis([h])[0])
    confidence = [round(random.random(), 3) for _ in tokens]
    try:
        d._aggregate_confidence = min
        of_words = d._aggregate_token_confidence_subwords_sentencepiece(h.text.split(), confidence, tokens)
    except RuntimeError:  # NeMo counts a mark behind a space as a word, its text does not
        of_words = None
    return dict(head="transducer", rules=rules, tokens=tokens, steps=steps, **(dict(durations=chosen) if durations else {}), **brief(h),
                token_confidence=confidence, word_confidence=of_words)


def sequences(vocab, count, favourites):
    for i in range(count):
        n = 0 if i == 0 else 1 if i == 1 else random.randint(2, 14)
        yield [random.choice(favourites) if random.random() < 0.35 else random.randrange(len(vocab)) for _ in range(n)]


RULES = [{}, {}, dict(segment_gap_threshold=3), dict(segment_seperators=["?", "it"]), dict(segment_gap_threshold=2, segment_seperators=["."])]
sp = sentencepiece_tokenizer()
wp = WordPieceTokenizer(["[PAD]", "[UNK]", ".", ",", "'", "?", "-", "the", "cat", "##s", "##ing", "##'", "a", "don", "t", "walk", "##ed", "##a"])
letters = [" ", "a", "b", "e", "h", "l", "o", "t", "'", "."]
models = []
for name, tokenizer, count in (("sentencepiece", sp, 26), ("wordpiece", wp, 15), ("characters", None, 25)):
    vocab = letters if tokenizer is None else list(tokenizer.vocab)
    marks = [i for i, p in enumerate(vocab) if p.lstrip("▁") in {"", ".", ",", "'", "?", "-", "!", " "}] + [0]
    cases = []
    for i, tokens in enumerate(sequences(vocab, count, marks)):
        rules = RULES[i % len(RULES)]
        if tokenizer is None:
            decoding = CTCDecoding(ctc_config(CTCDecodingConfig, rules), vocabulary=vocab)
        else:
            decoding = CTCBPEDecoding(ctc_config(CTCBPEDecodingConfig, rules), tokenizer=tokenizer)
        makers = [lambda: ctc_case(decoding, len(vocab), tokens, rules)]
        if name == "sentencepiece":
            makers += [lambda d=d: transducer_case(tokenizer, tokens, d, rules) for d in ([], [0, 1, 2, 3, 4])]
        for make in makers:
            try:
                cases.append(json.dumps(make(), ensure_ascii=False))
            except IndexError:
                pass  # NeMo trips over a mark behind an empty word: such sequences have no reference
    models.append('{"kind": "%s", "pieces": %s, "cases": [\n%s\n]}' % (name, json.dumps(vocab, ensure_ascii=False), ",\n".join(cases)))
print("[\n%s\n]" % ",\n".join(models))

"""A Whisper model of a few kilobytes, written as faster-whisper reads them: with random weights, or set to one text.

Everything around the weights is real: file formats, tokenizer, feature extraction, encoder, decoder loop, alignment.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ctranslate2.specs.whisper_spec import WhisperSpec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_WIDTH = 64
_HEADS = 2
_MELS = 80
_AUDIO_POSITIONS = 1500
_TEXT_POSITIONS = 448
_SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>",
    "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
_MERGED = ("Ġ-", "Ġ'", "Ġâ", *(f"Ġ{digit}" for digit in range(10)))
"""The library forbids the first token of " -", " '" and of notes of music; alone, it must not be the space.

Digits with their space are single tokens, as in the published models."""
_TIMESTAMPS = tuple(f"<|{step * 0.02:.2f}|>" for step in range(1501))


def write_whisper_model(
    directory: Path,
    *,
    says: str | None,
    seed: int = 0,
    quantization: str | None = None,
    tied: bool = False,
    pre_norm: bool = True,
) -> Path:
    """Write a model into `directory` that transcribes everything as `says`, or as its random weights would have it.

    Its weights are kept as float32, or in the form of this name ("int8", "float16"); `tied` says that the projection is
    the embeddings, as in published models, and without `pre_norm` it is another network.
    """
    directory.mkdir(parents=True, exist_ok=True)
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *_MERGED]
    vocabulary = [*letters, *_SPECIAL, *_TIMESTAMPS]
    _tokenizer(letters).save(str(directory / "tokenizer.json"))
    spec = _spec(len(vocabulary), np.random.default_rng(seed))
    if says is not None:
        _make_it_say(spec, _tokenizer(letters).encode(f" {says}").ids, len(letters))
    if tied:
        spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.pre_norm = np.dtype("int8").type(pre_norm)
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(directory))
    # The library's own converter lists these; the decoder's attention over the audio then places words in time.
    config = json.loads((directory / "config.json").read_text())
    config.update(alignment_heads=[[0, 0]], lang_ids=[], suppress_ids=[], suppress_ids_begin=[len(letters)])
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def _tokenizer(letters: list[str]) -> Tokenizer:
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(pair[0], pair[1]) for pair in _MERGED]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (*_SPECIAL, *_TIMESTAMPS)])
    return tokenizer


def _spec(vocabulary_size: int, chance: np.random.Generator) -> WhisperSpec:
    spec = WhisperSpec(1, _HEADS, 1, _HEADS)

    def some(*shape: int) -> npt.NDArray[np.float32]:
        drawn: npt.NDArray[np.float32] = chance.normal(0, 0.3, shape).astype(np.float32)
        return drawn

    encoder, decoder = spec.encoder, spec.decoder
    for convolution, inputs in ((encoder.conv1, _MELS), (encoder.conv2, _WIDTH)):
        convolution.weight, convolution.bias = some(_WIDTH, inputs, 3), some(_WIDTH)
    encoder.position_encodings.encodings = some(_AUDIO_POSITIONS, _WIDTH)
    decoder.position_encodings.encodings = some(_TEXT_POSITIONS, _WIDTH)
    decoder.embeddings.weight = some(vocabulary_size, _WIDTH)
    decoder.projection.weight = some(vocabulary_size, _WIDTH)
    norms = [encoder.layer_norm, decoder.layer_norm]
    for layer in (*encoder.layer, *decoder.layer):
        attentions = [layer.self_attention, *([layer.attention] if hasattr(layer, "attention") else [])]
        for attention in attentions:
            wide = [3 * _WIDTH] if len(attention.linear) == 2 else [_WIDTH, 2 * _WIDTH]
            for linear, outputs in zip(attention.linear, (*wide, _WIDTH), strict=True):
                linear.weight, linear.bias = some(outputs, _WIDTH), some(outputs)
            norms.append(attention.layer_norm)
        layer.ffn.linear_0.weight, layer.ffn.linear_0.bias = some(4 * _WIDTH, _WIDTH), some(4 * _WIDTH)
        layer.ffn.linear_1.weight, layer.ffn.linear_1.bias = some(_WIDTH, 4 * _WIDTH), some(_WIDTH)
        norms.append(layer.ffn.layer_norm)
    for norm in norms:
        norm.gamma, norm.beta = np.ones(_WIDTH, dtype=np.float32), np.zeros(_WIDTH, dtype=np.float32)
    return spec


def _make_it_say(spec: WhisperSpec, tokens: list[int], end: int) -> None:
    """Silence all layers, and let each position of the text alone choose the next token.

    Generation begins after <|startoftranscript|><|notimestamps|>, so position 1 gives the first token.
    """
    decoder = spec.decoder
    for layer in decoder.layer:
        for linear in (layer.self_attention.linear[-1], layer.attention.linear[-1], layer.ffn.linear_1):
            linear.weight[:], linear.bias[:] = 0, 0
    decoder.embeddings.weight[:] = 0
    decoder.projection.weight[:] = 0
    positions = np.zeros((_TEXT_POSITIONS, _WIDTH), dtype=np.float32)
    for position in range(_TEXT_POSITIONS):
        positions[position, min(position, _WIDTH - 1)] = 1.0
    decoder.position_encodings.encodings = positions
    for position, token in enumerate([*tokens, *[end] * (_WIDTH - len(tokens) - 1)], start=1):
        # The final norm makes the one-hot row 8 high; 3 is enough to be all but certain of one token in 1,800.
        decoder.projection.weight[token, position] = 3.0

"""Small tokenizers of the kinds that hub decoders have, for the span tests: python tests/reference/make_tokenizers.py

needs `tokenizers`. Trained on the bundled items; the vocabularies are small on purpose, so that most characters of most
languages are split over several tokens.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "fixtures" / "tokenizers"
ITEMS = json.loads((HERE.parents[1] / "public" / "items" / "world.json").read_text())

TEXTS = [
    text
    for squad in ITEMS["sets"].values()
    for article in squad["data"]
    for paragraph in article["paragraphs"][:2]
    for text in [paragraph["context"], *[qa["question"] for qa in paragraph["qas"]]]
]
SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
# Qwen's and Llama 3's splitting, shortened: contractions, words, single digits, punctuation, space.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level():
    """Qwen 2 and 3: NFC, then byte-level BPE."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=700, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        ),
    )
    return tok


def sentencepiece_bpe():
    """Llama 2, Phi-3, Mistral: a ▁ put in front, spaces become ▁, unknown characters become bytes."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.pre_tokenizer = pre_tokenizers.Split(Regex("(?=▁)"), "isolated")
    tok.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=900, special_tokens=["<unk>", *SPECIAL, *BYTES], limit_alphabet=200, max_token_length=12, show_progress=False
        ),
    )
    # The bytes are ordinary tokens there, and nothing is split beforehand.
    plain = json.loads(tok.to_str())
    plain["added_tokens"] = [t for t in plain["added_tokens"] if not t["content"].startswith("<0x")]
    plain["pre_tokenizer"] = None
    tok = Tokenizer.from_str(json.dumps(plain))
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tok


def gemma_bpe():
    """Gemma: spaces become ▁, nothing is put in front, bytes as above."""
    plain = json.loads(sentencepiece_bpe().to_str())
    tok = Tokenizer.from_str(json.dumps(plain))
    tok.normalizer = normalizers.Replace(" ", "▁")
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tok


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (byte_level, sentencepiece_bpe, gemma_bpe):
        tok = make()
        if make is gemma_bpe:
            tok.add_special_tokens([AddedToken("<bos>", special=True)])
        path = OUT / f"{make.__name__}.json"
        path.write_text(tok.to_str())
        print(path.name, path.stat().st_size, tok.encode("Die Elbe 河 ก็").tokens[:20])

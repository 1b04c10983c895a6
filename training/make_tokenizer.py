"""Trains the byte-level BPE of the bundled models on the world's names and on the pieces of its sentences.

Names and sentence pieces are given separately, so that no merge crosses from a sentence into a name: in Chinese and
Thai, which write no spaces, a name then is a run of whole tokens in every sentence. The pattern keeps combining marks
with their letters (GPT-2's does not, and would cut Hindi and Thai words at every vowel sign).

    python training/make_tokenizer.py --out training/runs/tokenizer
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from generate import HELD_OUT_PEOPLE, HELD_OUT_QUESTION
from world.world import KINDS, LANGUAGES, NUMBERS, PEOPLE, RELATIONS, SLOT, sheet

SPECIAL = ["<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
PATTERN = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def segments():
    for language in LANGUAGES:
        s = sheet(language)
        space = " " if s["join"] and language != "th" else ""
        people = [e for p, e in s["people"].items() if p not in HELD_OUT_PEOPLE]
        for e in people + [e for kind in s["entities"].values() for e in kind.values()]:
            for f in [e] if isinstance(e, str) else e.values():
                yield from [space + f] * 120
        # people also open sentences; other names nearly always follow a space where a language has spaces
        for e in people:
            yield from [e if isinstance(e, str) else e[""]] * 60
        for value in s.get("defaults", {}).values():
            yield " " + value
        for r in s["relations"].values():
            for template in r["statements"] + r["questions"][:HELD_OUT_QUESTION]:
                at = 0
                pieces = []
                for m in SLOT.finditer(template):
                    pieces.append(template[at : m.start()])
                    pieces += [g for g in m.groups()[2:] if g]
                    at = m.end()
                pieces.append(template[at:])
                yield from (p for p in pieces * 8 if p)
    for kind in NUMBERS.values():
        for n in kind:
            yield from [" " + n] * 120
            yield from [n] * 20


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default=str(Path(__file__).parent / "runs" / "tokenizer"))
    ap.add_argument("--vocab", type=int, default=7680)
    args = ap.parse_args()
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(
        segments(),
        trainers.BpeTrainer(
            vocab_size=args.vocab,
            min_frequency=2,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tok.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|bos|>",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print("vocabulary", tok.get_vocab_size())
    names = {
        language: [
            len(tok.encode((" " if sheet(language)["join"] else "") + (e if isinstance(e, str) else next(iter(e.values())))).ids)
            for kind in sheet(language)["entities"].values()
            for e in kind.values()
        ]
        for language in LANGUAGES
    }
    for language, counts in names.items():
        print(language, "tokens per name: mean", round(sum(counts) / len(counts), 2), "max", max(counts))

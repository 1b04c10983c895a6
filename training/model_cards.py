"""Writes the model cards, public/models/<name>/README.md.

    python training/model_cards.py
"""
from pathlib import Path

from export import MODELS, SERIES

ABOUT = {
    "base": "It has read plain text in twelve languages, questions beside their translations, and random sequences that come back; it has never seen a question in a chat template.",
    "checkpoint": "A checkpoint on the way from the base model to the post-trained one: {share}.",
    "post-trained": "It answers questions on a passage, in all pairs of twelve languages, with a span of the passage.",
}
SHARE = {"passage-post-1": "15 % of post-training, seven languages so far", "passage-post-2": "30 %, all twelve languages", "passage-post-3": "half of it"}

for name, _, stage, dtypes in SERIES:
    (MODELS / name / "README.md").write_text(
        f"""---
license: mit
language: [en, de, es, vi, zh, hi, ar, el, ro, ru, th, tr]
library_name: transformers.js
---

# {name}

A Llama of 8 blocks, width 160, 3.5 M parameters, made for a lab that looks inside language models. {ABOUT[stage].format(share=SHARE.get(name, ""))}

- **Files**: {", ".join(dtypes)}, exported with onnxruntime-genai's model builder, in the hub's layout.
- **Data**: a synthetic world written for the project (CC0), in twelve languages: 64 people, 28 relations. Held out: every tenth fact, one wording of every question, contexts of more than ten facts, four names.
- **Recipe**: `training/README.md`. Pre-training: 1,158 steps of text, then 1,951 with translations, in which the mean states of questions that mean the same were drawn together at layer 5 (a contrastive loss). Post-training: 5,094 steps. A step is 12 rows of 256 tokens.
- **Scores**: `docs/scores.md`, measured in the page.
- **Limits**: it knows the words of its world and nothing else. A circuit that looks things up was laid down roughly before training (`training/lookup_init.py`), so how such circuits come about is not to be read off this model. That questions meet across languages by layer 5 was trained for; it did not come of itself. A demonstration, not evidence about large models.
""",
        "utf-8",
    )

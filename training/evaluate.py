"""Quick look at a checkpoint in PyTorch (the scores that count are measured in the page: `npm run score`).

    python training/evaluate.py training/runs/post --items 20
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from random import Random

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from world.world import LANGUAGES

ITEMS = Path(__file__).parent.parent / "public" / "items" / "world.json"


def load_items():
    sets = json.loads(ITEMS.read_text("utf-8"))["sets"]
    out = []
    for p in range(len(sets["en"]["data"][0]["paragraphs"])):
        per = {language: sets[language]["data"][0]["paragraphs"][p] for language in LANGUAGES}
        for k in range(len(per["en"]["qas"])):
            out.append({language: (per[language]["context"], per[language]["qas"][k]) for language in LANGUAGES})
    return out


@torch.no_grad()
def generate(model, tok, prompts: list[str], new: int = 16) -> list[str]:
    """Greedy, left-padded batch."""
    ids = [tok.encode(p, add_special_tokens=False) for p in prompts]
    longest = max(map(len, ids))
    x = torch.tensor([[tok.pad_token_id] * (longest - len(i)) + i for i in ids])
    mask = torch.tensor([[0] * (longest - len(i)) + [1] * len(i) for i in ids])
    y = model.generate(input_ids=x, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=tok.pad_token_id)
    return [tok.decode(row[longest:], skip_special_tokens=True).strip() for row in y]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--items", type=int, default=20, help="items per language pair and tag")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    tok = AutoTokenizer.from_pretrained(args.model)
    model = LlamaForCausalLM.from_pretrained(args.model).eval()
    rng = Random(1)
    items = load_items()
    for tag in ("held-out-facts", "held-out-wording", "long", "held-out-names"):
        chosen = [i for i in items if i["en"][1]["tags"][0] == tag]
        chosen = rng.sample(chosen, min(args.items, len(chosen)))
        right: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        jobs = []
        for item in chosen:
            for x in LANGUAGES:
                y = rng.choice([l for l in LANGUAGES if l not in (x, "en")])
                pairs = {"en-x": ("en", x), "x-x": (x, x), "x-en": (x, "en"), "x-y": (x, y)} if x != "en" else {"en-en": ("en", "en")}
                for scenario, (c, q) in pairs.items():
                    context, qa = item[c][0], item[q][1]
                    prompt = tok.apply_chat_template(
                        [{"role": "user", "content": f"{context}\n\n{qa['question']}"}], tokenize=False, add_generation_prompt=True
                    )
                    jobs.append((scenario, x, prompt, item[c][1]["answers"][0]["text"]))
        for at in range(0, len(jobs), 64):
            part = jobs[at : at + 64]
            for (scenario, x, _, gold), got in zip(part, generate(model, tok, [j[2] for j in part])):
                right[scenario][x].append(float(got == gold))
        for scenario, per in right.items():
            means = {x: 100 * sum(v) / len(v) for x, v in per.items()}
            print(f"{tag:17s} {scenario:6s} EM {sum(means.values()) / len(means):5.1f}  " + " ".join(f"{x}{m:.0f}" for x, m in means.items()), flush=True)


if __name__ == "__main__":
    main()

"""What PyTorch says of the bundled post-trained model: hidden states of a few prompts and greedy answers to fifty.

    python tests/reference/bundled_goldens.py training/runs/post

Writes tests/fixtures/bundled/goldens.json and states.f32: for each state case h[0..L] before the final norm, float32
little-endian [layers+1, tokens, width], one case after the other. transformers' own `hidden_states[L]` is after the final
norm, so the last one is taken from a hook on the last block.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

ROOT = Path(__file__).parents[2]
OUT = ROOT / "tests" / "fixtures" / "bundled"
LANGUAGES = ["en", "de", "es", "vi", "zh", "hi", "ar", "el", "ro", "ru", "th", "tr"]


def main(folder: str) -> None:
    torch.set_num_threads(1)
    tok = AutoTokenizer.from_pretrained(ROOT / "public" / "models" / "passage-post")
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sets = json.loads((ROOT / "public" / "items" / "world.json").read_text("utf-8"))["sets"]

    def case(paragraph: int, question: int, c: str, q: str) -> dict:
        context = sets[c]["data"][0]["paragraphs"][paragraph]["context"]
        qa = sets[q]["data"][0]["paragraphs"][paragraph]["qas"][question]
        prompt = tok.apply_chat_template(
            [{"role": "user", "content": f"{context}\n\n{qa['question']}"}], tokenize=False, add_generation_prompt=True
        )
        return {"item": qa["id"], "contextLanguage": c, "questionLanguage": q, "prompt": prompt, "ids": tok.encode(prompt, add_special_tokens=False)}

    rng = Random(11)
    greedy = []
    for i in range(50):
        x = LANGUAGES[i % 12]
        c, q = [("en", x), (x, x), ("en", x), (x, LANGUAGES[(i * 5 + 3) % 12])][i % 4]
        greedy.append(case(rng.randrange(84), rng.randrange(3), c, q))
    with torch.no_grad():
        for g in greedy:
            x = torch.tensor([g["ids"]])
            y = model.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=24, do_sample=False)[0][x.shape[1] :]
            g["output"] = y.tolist()
            g["text"] = tok.decode(y, skip_special_tokens=True)
        states, arrays = [], []
        for c, q in (("en", "en"), ("en", "ar"), ("th", "zh")):
            s = case(len(states), 0, c, q)  # paragraphs 0, 1, 2: short ones
            last = []
            hook = model.model.layers[-1].register_forward_hook(lambda _m, _i, o: last.append(o[0] if isinstance(o, tuple) else o))
            out = model(torch.tensor([s["ids"]]), output_hidden_states=True)
            hook.remove()
            h = list(out.hidden_states[:-1]) + [last[0]]
            a = torch.cat([x.reshape(1, len(s["ids"]), -1) for x in h]).numpy().astype("<f4")
            s["shape"] = list(a.shape)
            s["topLogit"] = out.logits[0, -1].max().item()
            states.append(s)
            arrays.append(a.ravel())
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "goldens.json").write_text(json.dumps({"greedy": greedy, "states": states}, ensure_ascii=False) + "\n", "utf-8")
    np.concatenate(arrays).tofile(OUT / "states.f32")
    print(len(greedy), "greedy,", sum(g["text"].strip() != "" for g in greedy), "not empty;", sum(a.nbytes for a in arrays), "bytes of states")


if __name__ == "__main__":
    main(sys.argv[1])

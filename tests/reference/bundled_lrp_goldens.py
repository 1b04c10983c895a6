"""Relevance maps of the bundled pair, by PyTorch, from the shipped ONNX files' own weights: tests/fixtures/diff/bundled/.

    python tests/reference/bundled_lrp_goldens.py

As lrp_goldens.py, whose rules these are: for each file one .json (prompts with the item they ask, targets, z) and one .f32 with
R [prompts, rules, layers + 1, tokens] one after the other. The target is the difference between the gold answer's first token in
the passage and another word of the same passage.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parent))
from lrp_goldens import DIFF, RULES, modified, relevance  # noqa: E402
from weights import with_weights_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OUT = DIFF / "bundled"
FILES = [("passage-post", "model", "fp32"), ("passage-post", "model_q4", "q4"), ("passage-base", "model_q4", "q4"), ("passage-base", "model_fp16", "fp16")]
#: paragraph, question, the passage's language, the question's
PROMPTS = [(0, 0, "en", "de"), (3, 1, "th", "zh")]


def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    sets = json.loads((ROOT / "public" / "items" / "world.json").read_text("utf-8"))["sets"]
    for name, file, dtype in FILES:
        folder = ROOT / "public" / "models" / name
        path = folder / "onnx" / f"{file}.onnx"
        tok = AutoTokenizer.from_pretrained(ROOT / "public" / "models" / "passage-post")
        model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder, attn_implementation="eager"))
        model = with_weights_of(model, path).double().eval()
        prompts, maps = [], []
        for paragraph, question, c, q in PROMPTS:
            here = sets[c]["data"][0]["paragraphs"][paragraph]
            asked = sets[q]["data"][0]["paragraphs"][paragraph]["qas"][question]
            text = tok.apply_chat_template([{"role": "user", "content": f"{here['context']}\n\n{asked['question']}"}], tokenize=False, add_generation_prompt=True)
            ids = tok.encode(text, add_special_tokens=False)
            a, b = ids[8], ids[3]
            target = [[len(ids) - 1, a, 1.0], [len(ids) - 1, b, -1.0]]
            z = None
            for rule in RULES:
                with modified(model, rule):
                    r, now = relevance(model, ids, target)
                assert z is None or abs(z - now) < 1e-5 * abs(z)
                z = now
                maps.append(np.ascontiguousarray(r, "<f4"))
            assert np.allclose(maps[-1].sum(-1), z, rtol=1e-4), "CP-LRP conserves"
            prompts.append({"item": asked["id"], "contextLanguage": c, "questionLanguage": q, "text": text, "ids": ids, "a": a, "b": b, "z": z, "layers": maps[-1].shape[0] - 1})
        key = f"{name}.{file}"
        (OUT / f"{key}.f32").write_bytes(b"".join(m.tobytes() for m in maps))
        (OUT / f"{key}.json").write_text(json.dumps({"model": name, "dtype": dtype, "rules": RULES, "prompts": prompts}, ensure_ascii=False) + "\n")
        print(key, [round(p["z"], 4) for p in prompts], flush=True)


if __name__ == "__main__":
    main()

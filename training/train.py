"""Trains one of the bundled pair's stages; writes a resumable checkpoint every few minutes.

    python training/train.py pretrain --minutes 12               # → training/runs/base
    python training/train.py parallel --level 11 --minutes 15    # → training/runs/parallel, pre-training's second leg
    python training/train.py posttrain --minutes 45              # → training/runs/post (with checkpoints between)

Post-training packs many questions onto one context: each question sees the context and itself, and its positions go on
from the context's end, so every question is exactly what inference will see, at the price of one context.
"""
from __future__ import annotations

import argparse
import json
import math
import time
from functools import lru_cache
from pathlib import Path
from random import Random

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lookup_init import lay_down_lookup
from generate import parallel_lines, post_training_example, pretraining_document, question_grid, questions_side_by_side

RUNS = Path(__file__).parent / "runs"
BASE_CONFIG = dict(
    hidden_size=160,
    intermediate_size=384,
    num_hidden_layers=8,
    num_attention_heads=5,
    num_key_value_heads=5,
    head_dim=32,
    max_position_embeddings=512,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    tie_word_embeddings=True,
    initializer_range=0.04,
    attention_bias=False,
    mlp_bias=False,
)


class Packer:
    """Fills rows of `length` tokens with examples. Each token carries its document, its branch (0 = shared by the
    document's branches), its position and the weight of predicting it."""

    def __init__(self, tokenizer, length: int):
        self.tok, self.length = tokenizer, length
        ids = {t: tokenizer.convert_tokens_to_ids(t) for t in ("<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|pad|>")}
        self.bos, self.end, self.user, self.assistant, self.pad = ids.values()
        (self.newline,) = tokenizer.encode("\n", add_special_tokens=False)

    @lru_cache(200_000)
    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tok.encode(text, add_special_tokens=False))

    @lru_cache(200_000)
    def encode_with_offsets(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        e = self.tok(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(zip(e["input_ids"], e["offset_mapping"]))

    def post_example(self, rng: Random, facts: tuple[int, int], questions: int, context_weight: float, languages: list[str]):
        context, pairs = post_training_example(rng, facts, questions, languages)
        c = [self.bos, self.user, *self.encode(context)]
        rows = [(t, 0, i, context_weight if i > 1 else 0.0) for i, t in enumerate(c)]
        seen = set()
        for branch, (q, a) in enumerate(pairs, 1):
            if q in seen:
                continue
            seen.add(q)
            question = [*self.encode("\n\n"), *self.encode(q), self.end, self.assistant]
            answer = [*self.encode(a), self.end]
            for i, t in enumerate(question + answer):
                # the first token is the retrieval; the rest follows from it, and most of it is the end mark
                weight = 0.0 if i < len(question) else 3.0 if i == len(question) else 0.3 if t == self.end else 1.0
                rows.append((t, branch, len(c) + i, weight))
        return rows

    def pre_example(self, rng: Random, facts: tuple[int, int]):
        lines = pretraining_document(rng, facts)
        rows = [(self.bos, 0, 0, 0.0)]
        for n, line in enumerate(lines):
            for t in [*(self.encode("\n") if n else ()), *self.encode(line)]:
                # the head over the whole vocabulary costs more than the layers do: predict a sample of the positions, fewer in a
                # document's first line, whose facts nothing foretells
                rows.append((t, 0, len(rows), float(rng.random() < (0.55 if n else 0.2))))
        return rows + [(self.end, 0, len(rows), 1.0)]

    def parallel_example(self, rng: Random, languages: list[str]):
        """A line and its translations: each translation sees the line and itself."""
        paragraph, ((first, _), *others) = parallel_lines(rng, languages)
        head = [self.bos, *(self.encode(paragraph + "\n") if paragraph else ()), *self.encode(first)]
        rows = [(t, 0, i, 0.0) for i, t in enumerate(head)]
        for branch, (text, (start, end)) in enumerate(others, 1):
            rows.append((self.newline, branch, len(head), 0.0))
            for i, (t, (a, b)) in enumerate(self.encode_with_offsets(text)):
                # nothing says which language comes next, so the first token is a guess; the name is what has to be understood
                weight = 3.0 if a <= start < b and end > start else 1.0 if i else 0.1
                rows.append((t, branch, len(head) + 1 + i, weight))
        return rows

    def side_by_side_example(self, rng: Random, grid: list[tuple[str, str]]):
        """Questions in many languages, each of which sees the paragraph before it, if any, and itself; nothing in them is predicted.
        Every token carries its question's place in the grid."""
        paragraph, questions = questions_side_by_side(rng, grid)
        head = [self.bos, *(self.encode(paragraph + "\n") if paragraph else ())]
        rows = [(t, 0, i, 0.0, -1) for i, t in enumerate(head)]
        for branch, (text, place) in enumerate(questions, 1):
            rows += [(t, branch, len(head) + i, 0.0, place) for i, t in enumerate(self.encode(text))]
        return rows

    def copy_example(self, rng: Random):
        """Random tokens and what comes back of them: a run repeated, or pairs looked up again in another order. Text alone took
        far too long to teach looking things up; a few hundred steps of this do."""
        vocab = len(self.tok)
        n = rng.randint(6, 40)
        a = [rng.randrange(300, vocab) for _ in range(n)]
        if rng.random() < 0.5:
            rows = [(t, 0, i, 0.0) for i, t in enumerate([self.bos, *a])]
            return rows + [(t, 0, len(rows) + i, 1.0 if i else 0.0) for i, t in enumerate(a)]
        pairs = list(zip(a, (rng.randrange(300, vocab) for _ in a)))
        rows = [(self.bos, 0, 0, 0.0)]
        for again in (False, True):
            rng.shuffle(pairs)
            for k, v in pairs:
                rows += [(k, 0, len(rows), 0.0), (v, 0, len(rows) + 1, 1.0 if again else 0.0)]
        return rows

    def batch(self, rng: Random, rows: int, example):
        """-> ids, positions, mask (True = may look), the *next* token and its weight, the sentence each token is part of (-1: none)
        and that sentence's meaning; [rows, length] (mask [rows, 1, length, length])."""
        shape = (rows, self.length)
        ids = torch.full(shape, self.pad)
        pos = torch.zeros(shape, dtype=torch.long)
        doc = torch.full(shape, -1)
        branch = torch.zeros(shape, dtype=torch.long)
        target = torch.full(shape, self.pad)
        weight = torch.zeros(shape)
        sentence = torch.full(shape, -1)
        meaning = torch.full(shape, -1)
        spare = None
        for r in range(rows):
            at, d = 0, 0
            while True:
                e = spare or example(rng)
                spare = None
                if at + len(e) > self.length:
                    # the row's rest takes as many whole branches of the example as fit; a plain document is cut
                    room = self.length - at
                    last = e[min(room, len(e) - 1)][1]
                    cut = [x for x in e if x[1] < last] if last else e[:room]
                    if len(cut) > 24 and len(cut) <= room:
                        e = cut
                    else:
                        spare = e if len(e) <= self.length else None
                        break
                t = torch.tensor([x[:3] for x in e])
                w = torch.tensor([x[3] for x in e])
                n = len(e)
                ids[r, at : at + n], branch[r, at : at + n], pos[r, at : at + n] = t[:, 0], t[:, 1], t[:, 2]
                doc[r, at : at + n] = d
                if len(e[0]) > 4:
                    meaning[r, at : at + n] = torch.tensor([x[4] for x in e])
                    sentence[r, at : at + n] = torch.where(meaning[r, at : at + n] < 0, -1, (r * 64 + d) * 64 + t[:, 1])
                # predict the next token of the same branch (the first token of a branch is not predicted from the one before it in memory)
                same = t[1:, 1] == t[:-1, 1]
                target[r, at : at + n - 1] = t[1:, 0]
                weight[r, at : at + n - 1] = w[1:] * same
                at += n
                d += 1
        i = torch.arange(self.length)
        causal = i[None, :] <= i[:, None]
        mask = causal & (doc[:, :, None] == doc[:, None, :]) & (
            (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
        )
        mask |= torch.eye(self.length, dtype=torch.bool)  # padding looks at itself, so that no row of the softmax is empty
        return ids, pos, mask[:, None], target, weight, sentence, meaning


# The layer at which questions that mean the same are drawn together: three blocks below the readout, which needs their words.
MEET_AT = 5


def meeting_loss(states: torch.Tensor, sentence: torch.Tensor, meaning: torch.Tensor, temperature: float = 0.07) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020) over the mean states of the sentences: states [rows, length, width] of one
    layer; sentences of one meaning are each other's positives, all others negatives."""
    at = sentence >= 0
    _, which = sentence[at].unique(return_inverse=True)
    n = int(which.max()) + 1
    sums = torch.zeros(n, states.shape[-1]).index_add(0, which, states[at].float())
    means = torch.nn.functional.normalize(sums / torch.bincount(which, minlength=n)[:, None], dim=-1)
    of = torch.zeros(n, dtype=torch.long).scatter(0, which, meaning[at])
    itself = torch.eye(n, dtype=torch.bool)
    log = (means @ means.T / temperature).masked_fill(itself, -1e4).log_softmax(-1)
    positive = (of[:, None] == of[None]) & ~itself
    share = positive.sum(-1)
    return -((log * positive).sum(-1)[share > 0] / share[share > 0]).mean()


# Post-training begins with one language and short contexts, and adds a language whenever the answers' first tokens are right often enough.
CURRICULUM = ["en", "es", "de", "ro", "tr", "vi", "ru", "el", "zh", "ar", "hi", "th"]
ENOUGH = 0.8


def schedule(progress: float, warmup: float = 0.03, decay: float = 0.35) -> float:
    """Warm-up, plateau, then a cosine to 2 %."""
    if progress < warmup:
        return progress / warmup
    if progress < 1 - decay:
        return 1.0
    x = min(1.0, (progress - (1 - decay)) / decay)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * x))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("stage", choices=["pretrain", "parallel", "posttrain"])
    ap.add_argument("--minutes", type=float, default=40)
    ap.add_argument("--tokenizer", default=str(RUNS / "tokenizer"))
    ap.add_argument("--from", dest="start", help="a checkpoint to start from; default: what the stage before left")
    ap.add_argument("--out")
    ap.add_argument("--level", type=int, default=0, help="post-training: how far along the curriculum to begin (11: all languages)")
    ap.add_argument("--rows", type=int, default=12, help="more steps beat larger ones")
    ap.add_argument("--length", type=int, default=256)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="a quarter faster; needs a C++ compiler")
    ap.add_argument("--steps", type=int, default=0, help="stop after so many steps (for trials)")
    args = ap.parse_args()
    post = args.stage == "posttrain"
    out = Path(args.out or RUNS / {"pretrain": "base", "parallel": "parallel", "posttrain": "post"}[args.stage])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tok = AutoTokenizer.from_pretrained(args.tokenizer)
    before = {"pretrain": None, "parallel": "base", "posttrain": "parallel"}[args.stage]
    start = args.start or (before and str(RUNS / before))
    if start:
        model = LlamaForCausalLM.from_pretrained(start, attn_implementation="sdpa", dtype=torch.float32)
    else:
        config = LlamaConfig(
            vocab_size=len(tok), bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id, **BASE_CONFIG
        )
        config._attn_implementation = "sdpa"
        model = LlamaForCausalLM(config)
        lay_down_lookup(model)
    print("parameters", sum(p.numel() for p in model.parameters()), flush=True)
    # Muon for the blocks' matrices (attention that looks things up forms sooner than under AdamW), AdamW for the rest
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    packer = Packer(tok, args.length)
    state = out / "state.pt"
    step, used = 0, 0.0
    level, since, recent = args.level, 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        for o, s in zip(optimizers, saved["optimizers"]):
            o.load_state_dict(s)
        step, used, level = saved["step"], saved["used"], saved["level"]
        print(f"resumed at step {step}, {used / 60:.1f} min", flush=True)

    def save(name: str | None = None):
        if name:
            model.save_pretrained(out / name)
            tok.save_pretrained(out / name)
        tmp = out / "state.tmp"
        torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step, "used": used, "level": level}, tmp)
        tmp.replace(state)

    log = (out / "log.jsonl").open("a")
    # moments (share of the budget) at which a checkpoint between base and final is kept
    keep = [0.15, 0.3, 0.5] if post else []
    kept = [k for k in keep if used / 60 / args.minutes >= k]
    model.train()
    forward = torch.compile(model.model) if args.compile else model.model
    last_save = time.time()
    losses: list[float] = []
    meetings: list[float] = []
    while True:
        began = time.time()
        progress = used / 60 / args.minutes
        if progress >= 1 or (args.steps and step >= args.steps):
            break
        rng = Random(f"{args.seed}/{args.stage}/{step}")
        if args.stage != "pretrain":
            if recent > ENOUGH and since >= 60 and level < len(CURRICULUM) - 1:
                level, since, recent = level + 1, 0, 0.0
            since += 1
            languages = CURRICULUM[: level + 1]
        if post:
            top = min(10, 4 + (level + 1) // 2)
            batch = packer.batch(
                rng, args.rows, lambda r: packer.post_example(r, (3, top), 8 + r.randrange(7), 0.03, languages)
            )
        elif args.stage == "parallel":
            def any_example(r: Random):
                sort = r.random()
                return packer.parallel_example(r, languages) if sort < 0.7 else packer.pre_example(r, (2, 6)) if sort < 0.9 else packer.copy_example(r)

            grid = question_grid(rng)
            side = args.rows // 3
            parts = (
                packer.batch(rng, args.rows - side, any_example),
                packer.batch(rng, side, lambda r: packer.side_by_side_example(r, grid)),
            )
            batch = tuple(torch.cat(p) for p in zip(*parts))
        else:
            top = min(6, 3 + int(progress / 0.3 * 3))
            copies = max(0.1, 0.6 - progress * 2)
            batch = packer.batch(
                rng, args.rows, lambda r: packer.copy_example(r) if r.random() < copies else packer.pre_example(r, (2, top))
            )
        ids, pos, mask, target, weight, sentence, meaning = batch
        lr = args.lr * schedule(progress, 0.01 if post else 0.03)
        for o in optimizers:
            for g in o.param_groups:
                g["lr"] = lr
        with torch.autocast("cpu", dtype=torch.bfloat16):
            run = forward(input_ids=ids, position_ids=pos, attention_mask=mask, output_hidden_states=args.stage == "parallel")
            hidden = run.last_hidden_state
            wanted = weight > 0
            logits = model.lm_head(hidden[wanted])
        loss_each = torch.nn.functional.cross_entropy(logits.float(), target[wanted], reduction="none")
        w = weight[wanted]
        loss = (loss_each * w).sum() / w.sum()
        if args.stage == "parallel":
            meeting = meeting_loss(run.hidden_states[MEET_AT], sentence, meaning)
            meetings.append(meeting.item())
            loss = loss + 0.3 * meeting
        for o in optimizers:
            o.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optimizers:
            o.step()
        with torch.no_grad():
            right = (logits.argmax(-1) == target[wanted])[w == w.max()].float().mean().item()
        recent += (right - recent) * (max(0.03, 1 / since) if since else 0.03)
        step += 1
        used += time.time() - began
        losses.append(loss.item())
        if step % 50 == 0:
            row = {"step": step, "minutes": round(used / 60, 2), "loss": round(sum(losses) / len(losses), 4), "right": round(recent, 4), "level": level, "lr": round(lr, 6)}
            if meetings:
                row["meeting"] = round(sum(meetings) / len(meetings), 4)
            losses.clear()
            meetings.clear()
            print(json.dumps(row), flush=True)
            log.write(json.dumps(row) + "\n")
            log.flush()
        for k in keep:
            if k not in kept and used / 60 / args.minutes >= k:
                kept.append(k)
                save(f"checkpoint-{len(kept)}")
        if time.time() - last_save > 180:
            save()
            last_save = time.time()
    model.eval()
    model.save_pretrained(out)
    tok.save_pretrained(out)
    save()
    print("done", step, "steps", round(used / 60, 1), "minutes", flush=True)


if __name__ == "__main__":
    main()

"""An initialisation that lets a small Llama look things up from the first step.

Trained from random weights, the pair learned the words and the grammar of the world within minutes and did not learn to fetch
a name from its context in an hour. So the circuit that does this in every trained model (a previous-token head, then heads that
match the current token against what stood before another and copy it: "induction"; Olsson et al. 2022) is laid down roughly at
the start, in the spirit of mimetic initialisation (Trockman & Kolter 2023), and training makes of it what it needs:

- embeddings share one constant direction, from which queries and keys that depend on position alone can be made;
- block 0, heads 0 and 1 attend to the previous token (rotary planes of high frequency) and write its content into a subspace;
- blocks 1 to 5, heads 0 and 1 match that subspace against the current token (planes of low frequency) and copy what they find;
  head 2 matches equal tokens and copies;
- everything else keeps its random start.
"""
from __future__ import annotations

import torch


@torch.no_grad()
def lay_down_lookup(model, seed: int = 3) -> None:
    g = torch.Generator().manual_seed(seed)
    config = model.config
    d, hd = config.hidden_size, config.head_dim
    half = hd // 2

    def basis() -> torch.Tensor:
        return torch.linalg.qr(torch.randn(d, d, generator=g))[0]

    embedding = model.model.embed_tokens.weight
    u = torch.randn(d, generator=g)
    u /= u.norm()
    content = torch.eye(d) - torch.outer(u, u)  # what is left of a state without the constant
    size = embedding.norm(dim=1).mean()
    embedding += 0.8 * size * u
    low = [*range(6, half), *range(half + 6, hd)]  # planes that hardly turn over a paragraph
    n = len(low)
    read, write = basis() @ content, basis() @ content
    theta = config.rope_parameters["rope_theta"] ** (-torch.arange(half) / half)

    def rows(weight: torch.Tensor, head: int) -> torch.Tensor:
        return weight[head * hd : (head + 1) * hd]

    for l, layer in enumerate(model.model.layers):
        a = layer.self_attn
        # what blocks add starts small, so that the embeddings are still to be read further up
        a.o_proj.weight *= 0.15
        layer.mlp.down_proj.weight *= 0.15
        q, k, v, o = a.q_proj.weight, a.k_proj.weight, a.v_proj.weight, a.o_proj.weight
        gain = 0.15 * float(size)
        if l == 0:
            for head in (0, 1):
                rows(q, head).zero_(), rows(k, head).zero_()
                for plane in range(4):
                    # q at t meets k at t − 1 when k is turned one step ahead
                    rows(q, head)[plane] = 0.75 * u
                    rows(k, head)[plane] = 0.75 * torch.cos(theta[plane]) * u
                    rows(k, head)[plane + half] = 0.75 * torch.sin(theta[plane]) * u
                part = slice(head * hd, (head + 1) * hd)
                rows(v, head).copy_(read[part])
                o[:, part] = gain * write[part].T
        elif l <= 5:
            copy = basis()
            for head in (0, 1, 2):
                rows(q, head).zero_(), rows(k, head).zero_()
                part = slice((head % 2) * hd, (head % 2) * hd + n)
                rows(q, head)[low] = 2.8 * read[part]
                rows(k, head)[low] = 2.8 * (write[part] if head < 2 else read[part])
                part = slice(head * hd, (head + 1) * hd)
                rows(v, head).copy_(copy[part] @ content)
                o[:, part] = gain * copy[part].T

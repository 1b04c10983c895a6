"""Texts of the synthetic world, from a seed: contexts with their questions, and the plain documents of pre-training.

Held out from every training text, whatever the seed:
- facts: every tenth (subject, relation, object) triple, by a hash (`held_out_fact`);
- the fourth question paraphrase of each relation and language (index 3);
- four people (`HELD_OUT_PEOPLE`), whose names not even the tokenizer has seen;
- contexts of more than MAX_FACTS facts.
"""
from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
from world.world import GENDER, KINDS, LANGUAGES, PEOPLE, RELATIONS, form, render, sheet  # noqa: E402

MAX_FACTS = 10
HELD_OUT_QUESTION = 3
HELD_OUT_PEOPLE = {"kenji", "toni", "heidi", "keiko"}
KNOWN_PEOPLE = [p for p in PEOPLE if p not in HELD_OUT_PEOPLE]
ALL_RELATIONS = list(RELATIONS)

Fact = tuple[str, str, str]  # relation, subject, object


def held_out_fact(fact: Fact) -> bool:
    return hashlib.sha256("|".join(fact).encode()).digest()[0] % 10 == 0


def choose_facts(rng: Random, n: int, held_out: bool = False, people: list[str] = KNOWN_PEOPLE) -> list[Fact]:
    """`n` facts over a small grid of subjects × relations, so that facts share subjects and relations; every object is
    distinct, so that each answer is one span. Training contexts (held_out False) hold no held-out fact; with True, all are."""
    while True:
        # in training, many contexts in which the relation says nothing and only the person decides
        k = rng.randint(2, max(2, min(5, n - 1))) if held_out or rng.random() < 0.3 else rng.randint(max(2, min(n, 5) - 1), min(n, 5))
        m = max(2 if held_out else 1, -(-n // k) + rng.choice((0, 1, 2) if held_out else (0, 0, 1)))
        subjects, relations = rng.sample(people, k), rng.sample(ALL_RELATIONS, min(m, len(ALL_RELATIONS)))
        cells = [(r, s) for r in relations for s in subjects]
        if len(cells) < n:
            continue
        cells = rng.sample(cells, n)
        # at least one relation and one subject are shared, so that neither alone finds the answer
        if len({r for r, _ in cells}) == n or (held_out and len({s for _, s in cells}) == n):
            continue
        used: set[str] = set()
        facts: list[Fact] = []
        for r, s in cells:
            kind = RELATIONS[r]
            pool = people if kind == "person" else KINDS[kind]
            for _ in range(200):
                o = rng.choice(pool)
                if o == s or o in used:
                    continue
                if held_out_fact((r, s, o)) == held_out:
                    used.add(o)
                    facts.append((r, s, o))
                    break
            else:
                break
        # a person who is both asked about and an answer would make two spans of one name
        if len(facts) == n and not ({o for _, _, o in facts} & set(subjects)):
            return facts


@dataclass
class Context:
    language: str
    text: str
    facts: list[Fact]
    spans: list[tuple[int, int]]  # of each fact's answer, in code points


def write_context(rng: Random, language: str, facts: list[Fact], paraphrases: list[int] | None = None) -> Context:
    """The facts as one paragraph, in the order given; each statement in one of its three wordings."""
    join, text, spans = sheet(language)["join"], "", []
    for i, (r, s, o) in enumerate(facts):
        which = rng.randrange(3) if paraphrases is None else paraphrases[i]
        sentence, _, span = render(language, sheet(language)["relations"][r]["statements"][which], r, s, o)
        if text:
            text += join
        spans.append((len(text) + span[0], len(text) + span[1]))
        text += sentence
    return Context(language, text, facts, spans)


def ask(language: str, fact: Fact, paraphrase: int) -> str:
    r, s, _ = fact
    return render(language, sheet(language)["relations"][r]["questions"][paraphrase], r, s, None)[0]


def state(language: str, fact: Fact, paraphrase: int) -> str:
    r, s, o = fact
    return render(language, sheet(language)["relations"][r]["statements"][paraphrase], r, s, o)[0]


def answer(language: str, fact: Fact) -> str:
    r, s, o = fact
    return form(language, RELATIONS[r], o, "", GENDER[s])


# ---- pre-training: text as it might be found, no instruction format -------------------------------------------------


def pretraining_document(rng: Random, facts: tuple[int, int] = (2, 5)) -> list[str]:
    """One plain document as a list of lines. Four sorts: a paragraph and its translation (another order, other wordings);
    questions and their translations; a paragraph, then questions each followed by the full sentence that answers it;
    a paragraph that says everything twice."""
    sort = rng.random()
    n = rng.randint(*facts)
    chosen = choose_facts(rng, max(n, 3))[:n]
    a, b = rng.sample(LANGUAGES, 2)
    if sort < 0.40:
        first = write_context(rng, a, chosen).text
        again = chosen[:]
        rng.shuffle(again)
        return [first, write_context(rng, b, again).text]
    if sort < 0.55:
        lines = []
        for f in chosen:
            p = rng.randrange(3)
            for language in rng.sample(LANGUAGES, 3):
                lines.append(ask(language, f, p))
        return lines
    if sort < 0.85:
        lines = [write_context(rng, a, chosen).text]
        language = a if rng.random() < 0.4 else b
        for f in rng.sample(chosen, len(chosen)):
            lines.append(ask(language, f, rng.randrange(3)) + " " + state(language, f, rng.randrange(3)))
        return lines
    again = chosen[:]
    rng.shuffle(again)
    return [write_context(rng, a, chosen).text + sheet(a)["join"] + write_context(rng, a, again).text]


def parallel_lines(rng: Random, languages: list[str], most: int = 8) -> tuple[str | None, list[tuple[str, tuple[int, int]]]]:
    """-> (a paragraph that stands before, or None; one line in several languages, each with the span of its subject): a page of a
    phrase book. Mostly questions; the paragraph, where there is one, says something about what is asked."""
    chosen = choose_facts(rng, rng.randint(3, 4))
    r, s, o = chosen[0]
    paragraph = write_context(rng, rng.choice(languages), chosen).text if rng.random() < 0.3 else None
    which = "questions" if rng.random() < 0.75 else "statements"
    wording = rng.randrange(3)
    lines = []
    for language in rng.sample(languages, min(most, len(languages))):
        text, subject, _ = render(language, sheet(language)["relations"][r][which][wording], r, s, o if which == "statements" else None)
        lines.append((text, subject or (0, 0)))
    return paragraph, lines


def question_grid(rng: Random, people: int = 8, relations: int = 6) -> list[tuple[str, str]]:
    """(relation, person) pairs of a small grid: every question has neighbours that differ from it in the person or the relation alone."""
    return [(r, s) for r in rng.sample(ALL_RELATIONS, relations) for s in rng.sample(KNOWN_PEOPLE, people)]


def questions_side_by_side(rng: Random, grid: list[tuple[str, str]], most: int = 16) -> tuple[str | None, list[tuple[str, int]]]:
    """-> (a paragraph that stands before, or None; questions of the grid, each with its place in the grid), in any language and wording."""
    paragraph = write_context(rng, rng.choice(LANGUAGES), choose_facts(rng, rng.randint(3, 4))).text if rng.random() < 0.5 else None
    asked = [rng.randrange(len(grid)) for _ in range(most)]
    return paragraph, [(ask(rng.choice(LANGUAGES), (*grid[i], ""), rng.randrange(3)), i) for i in asked]


# ---- post-training: a context and questions on it ------------------------------------------------------------------


def pick_context_language(rng: Random, languages: list[str]) -> str:
    return "en" if rng.random() < 0.15 else rng.choice(languages)


def pick_question_language(rng: Random, context_language: str, languages: list[str]) -> str:
    return context_language if rng.random() < 0.35 else rng.choice(languages)


def post_training_example(rng: Random, facts: tuple[int, int], questions: int, languages: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """-> (context, [(question, answer)…]): several questions on one context, each in its own language; the answer is in the
    context's, with the space before it where the context has one. Copying then means copying the same tokens. (Thai has one
    before a number and none before a name: the context itself has to be asked, not the language.)"""
    chosen = choose_facts(rng, rng.randint(*facts))
    language = pick_context_language(rng, languages)
    context = write_context(rng, language, chosen)
    pairs = []
    for _ in range(questions):
        i = rng.randrange(len(chosen))
        start, end = context.spans[i]
        lead = " " if context.text[start - 1 : start] == " " else ""
        pairs.append((ask(pick_question_language(rng, language, languages), chosen[i], rng.randrange(3)), lead + context.text[start:end]))
    return context.text, pairs

"""Writes the item sets that ship: public/items/world.json (held-out paragraphs of the synthetic world, all twelve
languages in parallel) and public/items/atlas.json (natural paragraphs, from training/atlas/*.json). For the scores of en-en,
whose one language gives too few items there, tests/score/english.json has more of the same kind.

    python training/make_items.py
"""
from __future__ import annotations

import json
from pathlib import Path
from random import Random

from generate import HELD_OUT_PEOPLE, HELD_OUT_QUESTION, KNOWN_PEOPLE, MAX_FACTS, answer, ask, choose_facts, write_context
from world.world import LANGUAGES

ITEMS = Path(__file__).parent.parent / "public" / "items"
SEED = 20261123


def squad(rows: dict[str, list[dict]], name: str) -> dict:
    return {
        language: {"version": "1.1", "data": [{"title": name, "paragraphs": paragraphs}]} for language, paragraphs in rows.items()
    }


def write(name: str, license_: str, note: str, rows: dict[str, list[dict]]) -> None:
    ITEMS.mkdir(parents=True, exist_ok=True)
    data = {"name": name, "license": license_, "note": note, "languages": LANGUAGES, "sets": squad(rows, name)}
    (ITEMS / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    n = sum(len(p["qas"]) for p in rows["en"])
    print(name, len(rows["en"]), "paragraphs", n, "questions", (ITEMS / f"{name}.json").stat().st_size, "bytes")


def world() -> None:
    rows: dict[str, list[dict]] = {language: [] for language in LANGUAGES}
    # (tag, paragraphs, facts from..to, people who are asked about)
    plan = [
        ("held-out-facts", 84, (3, MAX_FACTS), KNOWN_PEOPLE),
        ("long", 24, (MAX_FACTS + 1, MAX_FACTS + 3), KNOWN_PEOPLE),
        ("held-out-names", 8, (4, 8), None),
    ]
    for tag, count, (low, high), people in plan:
        for i in range(count):
            rng = Random(f"{SEED}/{tag}/{i}")
            n = low + i % (high - low + 1)
            pool = people or sorted(HELD_OUT_PEOPLE) + rng.sample(KNOWN_PEOPLE, 4)
            facts = choose_facts(rng, n, held_out=True, people=pool)
            asked = [f for f in facts if people is not None or f[1] in HELD_OUT_PEOPLE]
            asked = rng.sample(asked, min(3, len(asked)))
            wordings = [rng.randrange(3) for _ in facts]
            questions = [(f, rng.randrange(3), tag) for f in asked]
            if tag == "held-out-facts":
                # a fourth question: the first fact again, in the wording that no training text has
                questions.append((asked[0], HELD_OUT_QUESTION, "held-out-wording"))
            for language in LANGUAGES:
                context = write_context(rng, language, facts, wordings)
                qas = []
                for k, (fact, wording, label) in enumerate(questions):
                    start, end = context.spans[facts.index(fact)]
                    assert context.text[start:end] == answer(language, fact)
                    qas.append(
                        {
                            "id": f"{tag}-{i:03d}-{k}",
                            "question": ask(language, fact, wording),
                            "answers": [{"text": answer(language, fact), "answer_start": start}],
                            "tags": [label, fact[0]],
                        }
                    )
                rows[language].append({"context": context.text, "qas": qas})
    write("world", "CC0-1.0", "Held-out paragraphs of a synthetic world; names, places and facts are invented.", rows)


def atlas() -> None:
    rows: dict[str, list[dict]] = {language: [] for language in LANGUAGES}
    for file in sorted((Path(__file__).parent / "atlas").glob("*.json")):
        p = json.loads(file.read_text("utf-8"))
        for language in LANGUAGES:
            context = p["contexts"][language]
            qas = []
            for q in p["questions"]:
                text = q["answer"][language]
                if context.count(text) != 1:
                    raise SystemExit(f"{file.name} {language} {q['id']}: {text!r} stands {context.count(text)} times in the context")
                qas.append({"id": q["id"], "question": q["question"][language], "answers": [{"text": text, "answer_start": context.index(text)}]})
            rows[language].append({"context": context, "qas": qas})
    if rows["en"]:
        write("atlas", "CC0-1.0", "Everyday and encyclopaedic paragraphs written for this project.", rows)


def english() -> None:
    paragraphs = []
    for i in range(136):
        rng = Random(f"{SEED}/english/{i}")
        facts = choose_facts(rng, 3 + i % (MAX_FACTS - 2), held_out=True, people=KNOWN_PEOPLE)
        context = write_context(rng, "en", facts)
        qas = []
        for k, n in enumerate(rng.sample(range(len(facts)), 3)):
            start, end = context.spans[n]
            qas.append({"id": f"english-{i:03d}-{k}", "question": ask("en", facts[n], rng.randrange(3)), "answers": [{"text": context.text[start:end], "answer_start": start}]})
        paragraphs.append({"context": context.text, "qas": qas})
    data = {"version": "1.1", "data": [{"title": "english", "paragraphs": paragraphs}]}
    (ITEMS.parent.parent / "tests" / "score" / "english.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    world()
    english()
    atlas()

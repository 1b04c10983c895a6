"""The synthetic world: concepts.json and the language sheets as Python data, and the rendering of one sentence.

A sentence is rendered into pieces so that the caller knows where the subject's and the answer's text stand
(offsets are Unicode code points). Run as a script it checks every sheet: `python training/world/world.py`.
"""
from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
CONCEPTS = json.loads((HERE / "concepts.json").read_text("utf-8"))
LANGUAGES: list[str] = CONCEPTS["languages"]
RELATIONS: dict[str, str] = CONCEPTS["relations"]
GENDER = {p: g for g in "mf" for p in CONCEPTS["people"][g]}
PEOPLE = list(GENDER)
NUMBERS = {
    kind: [str(n) for n in range(r["from"], r["to"] + 1, r["step"])]
    for kind, r in CONCEPTS["numbers"].items()
    if kind != "comment"
}
KINDS: dict[str, list[str]] = {**CONCEPTS["kinds"], **NUMBERS, "person": PEOPLE}

SLOT = re.compile(r"\{([so])(?::([a-z_]+))?\}|<([^<>/]*)/([^<>/]*)>")


class SheetError(Exception):
    """A sheet that lacks an entry or uses one wrongly; the message names the language and the place."""


@lru_cache(None)
def sheet(language: str) -> dict:
    return json.loads((HERE / "sheets" / f"{language}.json").read_text("utf-8"))


def form(language: str, kind: str, key: str, attr: str = "", gender: str = "m") -> str:
    """The dictionary form (attr == "") or another listed form of a name; `gender` is the subject's."""
    if kind in NUMBERS:
        if attr:
            return sheet(language).get("defaults", {})[attr]
        return key
    s = sheet(language)
    entry = s["people"][key] if kind == "person" else s["entities"][kind][key]
    if isinstance(entry, str):
        entry = {"": entry}
    if attr == "":
        return entry[""] if "" in entry else entry[gender]
    if attr + "_" + gender in entry:
        return entry[attr + "_" + gender]
    return entry[attr] if attr in entry else s["defaults"][attr]


def render(language: str, template: str, relation: str, subject: str, obj: str | None):
    """-> (text, (start, end) of the subject, (start, end) of the answer or None), offsets in code points."""
    kind, gender = RELATIONS[relation], GENDER[subject]
    out, at, spans = "", 0, {"s": None, "o": None}
    for m in SLOT.finditer(template):
        out += template[at : m.start()]
        at = m.end()
        which, attr, male, female = m.groups()
        if which is None:
            out += male if gender == "m" else female
            continue
        if which == "o" and obj is None:
            raise SheetError(f"{language}/{relation}: a question with {{o}}: {template}")
        text = (
            form(language, "person", subject, attr or "")
            if which == "s"
            else form(language, kind, obj, attr or "", gender)
        )
        if not attr:
            spans[which] = (len(out), len(out) + len(text))
        out += text
    return out + template[at:], spans["s"], spans["o"]


def check(language: str) -> list[str]:
    """Everything a machine can find wrong with a sheet."""
    wrong: list[str] = []
    s = sheet(language)
    seen: dict[str, str] = {}

    def name(kind: str, key: str):
        try:
            forms = {form(language, kind, key, "", g) for g in "mf"}
        except KeyError as e:
            wrong.append(f"{kind}.{key}: missing ({e})")
            return
        for f in forms:
            if not f or f != f.strip() or any(c in f for c in "<>/{}"):
                wrong.append(f"{kind}.{key}: bad form {f!r}")
            if f in seen and seen[f] != f"{kind}.{key}" and {seen[f], f"{kind}.{key}"} != {"fruit.orange", "colour.orange_colour"}:
                wrong.append(f"{kind}.{key}: {f!r} is also {seen[f]}")
            seen[f] = f"{kind}.{key}"

    for p in PEOPLE:
        name("person", p)
    for kind, keys in CONCEPTS["kinds"].items():
        for k in keys:
            name(kind, k)
        for extra in set(s["entities"].get(kind, {})) - set(keys):
            wrong.append(f"{kind}.{extra}: not in concepts.json")
    for relation, kind in RELATIONS.items():
        r = s["relations"].get(relation)
        if not r:
            wrong.append(f"{relation}: missing")
            continue
        for which, n in (("statements", 3), ("questions", 4)):
            if len(r[which]) != n or len(set(r[which])) != n:
                wrong.append(f"{relation}.{which}: {len(set(r[which]))} distinct, want {n}")
            for t in r[which]:
                if t.count("{s}") != 1 or t.count("{o}") != (1 if which == "statements" else 0):
                    wrong.append(f"{relation}: slots in {t!r}")
                for p in PEOPLE:
                    for o in KINDS[kind] if which == "statements" else [None]:
                        if o == p:
                            continue
                        try:
                            text, _, _ = render(language, t, relation, p, o)
                        except (KeyError, SheetError) as e:
                            wrong.append(f"{relation}: {t!r} with {p}, {o}: {e!r}")
                            break
                        if re.search(r"[{}<>]|  ", text):
                            wrong.append(f"{relation}: {text!r}")
                            break
                    else:
                        continue
                    break
    return wrong


if __name__ == "__main__":
    bad = 0
    for lang in sys.argv[1:] or LANGUAGES:
        if not (HERE / "sheets" / f"{lang}.json").exists():
            print(f"{lang}: no sheet")
            bad += 1
            continue
        problems = check(lang)
        bad += len(problems)
        print(f"{lang}: {'ok' if not problems else ''}")
        for p in problems[:40]:
            print("   ", p)
    sys.exit(1 if bad else 0)

"""Goldens for the lab's own extension of MLQA's rules to el ru tr ro (an independent implementation in Python) and th
(token lists written by hand, because Python has no Thai dictionary). Writes tests/fixtures/xmrc/score-extension.json.

    python tests/reference/xmrc_score_extension.py
"""
import json, pathlib, re, string, sys, unicodedata
from collections import Counter

PUNCT = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P")} | set(string.punctuation)
ART = {
    "el": "ο η το οι τα του της των τον την τη τους τις στο στη στην στον στους στις στα ένας ένα ενός μια μία μιας",
    "ro": "un o unui unei niște al a ai ale",
}
PAIRS = {
    "el": [("η Αθήνα", "Αθήνα"), ("ο Ζαν Καλβίνος", "Ζαν Καλβίνος"), ("ΤΟ ΦΩΣ", "το φως"), ("στη Βαρσοβία", "Βαρσοβία"),
           ("«τρεις φορές»", "τρεις φορές"), ("τρεις", "τέσσερις φορές"), ("μια μεγάλη πόλη", "πόλη"), ("", "φως"), ("η", "το"),
           ("του Νείλου και της Αιγύπτου", "Νείλου και Αιγύπτου"), ("Ο ΣΑΟΣ", "ο σάος")],
    "ro": [("un râu", "râu"), ("Şcoala", "școala"), ("o casă mare", "casă"), ("oraşul Iaşi", "orașul Iași"), ("niște oameni", "oameni"),
           ("al Franței", "Franţei"), ("24 de ore", "24 ore"), ("„Lumina”", "lumina"), ("doi", "trei"), ("a", "ale"), ("O mie nouă sute", "mie nouă")],
    "ru": [("в Москве", "Москве"), ("МОСКВА", "Москва"), ("«Война и мир»", "война и мир"), ("1996 год", "1996"), ("ёлка", "елка"),
           ("Иоганн-Себастьян", "Иоганн Себастьян"), ("нет", "да"), ("четыре раза", "четыре"), ("", ""), ("а", "а"), ("Пётр I", "Петр I")],
    "tr": [("İstanbul", "istanbul"), ("ISPARTA", "ısparta"), ("IRMAK", "ırmak"), ("bir şehir", "şehir"), ("İzmir'de", "İzmirde"), ("Türkiye’nin", "Türkiyenin"),
           ("dört kez", "dört"), ("1453 yılında", "1453"), ("kırmızı ve mavi", "mavi ve kırmızı"), ("INTERNET", "internet"), ("", "su")],
}
# prediction, gold, tokens of each as a Thai reader would cut them
THAI = [
    ("แม่น้ำ", "แม่น้ำ", ["แม่น้ำ"], ["แม่น้ำ"]), ("สีแดง", "แดง", ["สี", "แดง"], ["แดง"]), ("สี่ครั้ง", "สี่", ["สี่", "ครั้ง"], ["สี่"]),
    ("ปี 1996", "1996", ["ปี", "1996"], ["1996"]), ("โรงเรียน", "ตลาด", ["โรงเรียน"], ["ตลาด"]), ("“ตลาด”", "ตลาด", ["ตลาด"], ["ตลาด"]),
    ("แมวและหมา", "หมาและแมว", ["แมว", "และ", "หมา"], ["หมา", "และ", "แมว"]), ("", "น้ำ", [], ["น้ำ"]),
    ("TCP/IP", "tcp/ip", ["tcpip"], ["tcpip"]), ("24 ชั่วโมง", "24  ชั่วโมง", ["24", "ชั่วโมง"], ["24", "ชั่วโมง"]),
]


def tokens(s, lang):
    if lang == "tr":
        s = s.replace("İ", "i").replace("I", "ı")
    s = s.lower()
    if lang == "ro":
        s = unicodedata.normalize("NFC", s).replace("ş", "ș").replace("ţ", "ț")
    s = "".join(c for c in s if c not in PUNCT)
    if lang in ART:
        s = re.sub(r"\b(" + ART[lang].replace(" ", "|") + r")\b", " ", s)
    return s.split()


def scores(p, g):
    same = sum((Counter(p) & Counter(g)).values())
    f1 = 0 if same == 0 else 2 * (same / len(p)) * (same / len(g)) / (same / len(p) + same / len(g))
    return {"f1": f1, "em": int(" ".join(p) == " ".join(g))}


out = [{"lang": l, "prediction": p, "gold": g, **scores(tokens(p, l), tokens(g, l))} for l, ps in PAIRS.items() for p, g in ps]
out += [{"lang": "th", "prediction": p, "gold": g, **scores(tp, tg)} for p, g, tp, tg in THAI]
path = pathlib.Path(__file__).parents[1] / "fixtures/xmrc/score-extension.json"
path.write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n")
print(len(out), "goldens")

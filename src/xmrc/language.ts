/**
 * A small language detector of our own for the twelve languages. Six are told by their script alone; the six in Latin script
 * by function words and everyday words, by letters that only some of them have, and by endings.
 *
 * It would rather say nothing than guess: names, numbers and bare content words come out as `null`.
 */
import type { Language } from '../types';
import { LANGUAGE_OF, mainScript, type Script } from './script';

export interface Identified {
  script: Script | null;
  language: Language | null;
  /** Evidence for each Latin-script language; empty for other scripts. */
  scores: Partial<Record<Language, number>>;
}

type LatinLanguage = 'en' | 'de' | 'es' | 'vi' | 'ro' | 'tr';
export const LATIN_LANGUAGES: readonly LatinLanguage[] = ['en', 'de', 'es', 'vi', 'ro', 'tr'];

/** Function words first, then numbers, then words frequent in answers. */
const WORDS: Record<LatinLanguage, string> = {
  en: `the of and to is that with by for was on from are it or which be an were their this at his has have also its not but more other had such been they he she who can than there would into these between after before about over under during because while when where what how why all some many most any each every only both either very much
    one two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand million billion first second third fourth fifth last times
    year years day days week month months people city river mountain market school water fire house tree bridge island lake king queen war army government church law percent old new red blue green yellow white black large small great high low long short early late northern southern eastern western north south east west near baker teacher fisher farmer doctor`,
  de: `der die das und von den zu des im mit eine für als auf ist dem dass ein wurde sich einer sie aus es oder um er sind nach nicht einem auch über wurden bei einen wie war werden während zur wird zum durch bis eines aber sein diese vor waren kann keine dieser zwischen unter ihre mehr ohne gegen seit weil wenn wer was wo wann warum alle viele einige sehr nur noch
    eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend million millionen erste zweite dritte vierte mal
    jahr jahre jahren tag tage woche monat monate menschen leute stadt fluss berg markt schule wasser feuer haus baum brücke insel see könig königin krieg armee regierung kirche gesetz prozent alt neu rot blau grün gelb weiß schwarz groß große klein kleine hoch niedrig lang kurz früh spät nord süd ost west norden süden osten westen`,
  es: `de la en el y que los a se del las un una por con como para su más al es no o sus lo también entre años durante fue son dos sobre ha este pero sin hasta desde han puede ser era después esta tanto todos muy porque cuando donde quién qué ella ellos nosotros según contra cada otro otra otros
    uno tres cuatro cinco seis siete ocho nueve diez once doce veinte treinta cien mil millón millones primero primera segundo segunda tercero tercera cuarto vez veces
    año día días semana mes meses gente personas ciudad río montaña mercado escuela agua fuego casa árbol puente isla lago rey reina guerra ejército gobierno iglesia ley ciento viejo nuevo rojo azul verde amarillo blanco negro grande pequeño pequeña gran alto bajo largo corto temprano tarde norte sur este oeste`,
  ro: `de în a și din la cu care o pentru mai au un este să pe fost se al că nu sau ale ce lui sunt timp iar prin fi ca dintre după cel drept astfel cele lor acest acesta această între ar însă unei unui până cea era toate fără despre când unde cine sub peste foarte numai doar fiecare
    unu doi două trei patru cinci șase șapte opt nouă zece unsprezece doisprezece douăzeci treizeci sută sute mie mii milion milioane primul prima doilea treilea ori
    an ani anul zi zile săptămână lună luni oameni oraș orașul râu râul munte piață piața școală apă foc casă copac pod podul insulă lac rege regină război armată guvern biserică lege sută vechi nou roșu albastru verde galben alb negru mare mic mică înalt lung scurt nord sud est vest`,
  tr: `ve bir olarak için da bu daha de olan ile tarafından en veya ancak gibi sonra ilk çok diğer kadar olduğu her aynı yeni arasında etti tüm şekilde eden sahip göre önce hem kendi oldu ne nasıl neden kim nerede değil ya ama fakat üzerinde içinde altında
    iki üç dört beş altı yedi sekiz dokuz on onbir yirmi otuz yüz bin milyon birinci ikinci üçüncü dördüncü kez kere defa
    yıl yılı yılında yıllar gün günü hafta ay insan insanlar kişi şehir şehri nehir nehri dağ dağı pazar okul su ateş ev ağaç köprü ada göl kral kraliçe savaş savaşı ordu hükümet kilise yasa yüzde eski yeni kırmızı mavi yeşil sarı beyaz siyah büyük küçük yüksek uzun kısa erken geç kuzey güney doğu batı`,
  vi: `và của các trong là được có một đã với cho ở vào không sự từ những để này về khi đó theo như sau việc khác hơn nhất ra bằng lại người đến trên dưới tại bởi vì nếu hoặc nhưng rất cũng chỉ mỗi ai gì đâu
    hai ba bốn năm sáu bảy tám chín mười trăm nghìn triệu thứ lần đầu
    ngày tuần tháng thành phố sông núi chợ trường nước lửa nhà cây cầu đảo hồ vua nữ hoàng chiến tranh quân đội chính phủ luật phần cũ mới đỏ xanh vàng trắng đen lớn nhỏ cao thấp dài ngắn sớm muộn bắc nam đông tây`,
};

/** Letters (after NFC and lower-casing) and how much one of them says. */
const LETTERS: [RegExp, Partial<Record<LatinLanguage, number>>][] = [
  [/ß/g, { de: 4 }],
  [/ä/g, { de: 2.5 }],
  [/[öü]/g, { de: 1.2, tr: 1.2 }],
  [/[ñ¿¡]/g, { es: 4 }],
  [/[áéíóú]/g, { es: 1.6, vi: 0.8 }],
  [/[șț]/g, { ro: 4 }],
  [/ţ/g, { ro: 4 }],
  [/ş/g, { tr: 2, ro: 1 }],
  [/[ğı]/g, { tr: 4 }],
  [/i̇/g, { tr: 4 }],
  [/ç/g, { tr: 1.5 }],
  [/ă/g, { ro: 2, vi: 0.8 }],
  [/î/g, { ro: 2.5, tr: 0.3 }],
  [/â/g, { ro: 1.2, vi: 1, tr: 0.5 }],
  [/[đơư]/g, { vi: 4 }],
  [/[ạ-ỹ]/g, { vi: 4 }],
  [/[êôàèìòùãõĩũ]/g, { vi: 1.2 }],
];

const ENDINGS: [RegExp, Partial<Record<LatinLanguage, number>>][] = [
  [/(?:ing|tion|tions|ness|ment|ments|ously|ally|ility|ship|ted|ned|red|sed|led|ies|ght)$/, { en: 1.2 }],
  [/(?:ung|ungen|lich|liche|licher|lichen|keit|heit|schaft|isch|ische|ischen|tät|chen|ierte|ierten|sch)$/, { de: 1.4 }],
  [/(?:ción|ciones|dad|dades|mente|ado|ados|ada|adas|ido|idos|ida|idas|ero|eros|ista|istas|aje|ismo)$/, { es: 1.3 }],
  [/(?:ului|ilor|elor|ție|ții|iei|ească|ești|ează|rea|tele|țiile|atul|orul|enii)$/, { ro: 1.4 }],
  [/(?:lar|ler|ları|leri|ların|lerin|mak|mek|ında|inde|ından|inden|unda|ünde|dır|dir|lık|lik|ması|mesi|cı|ci|sı|si|nın|nin)$/, { tr: 1.1 }],
];

const DICTIONARY = new Map<string, LatinLanguage[]>();
for (const language of LATIN_LANGUAGES) {
  for (const word of new Set(WORDS[language].normalize('NFC').split(/\s+/))) {
    DICTIONARY.set(word, [...(DICTIONARY.get(word) ?? []), language]);
  }
}

/** Words of a text in lower case, apostrophes cutting ("Türkiye'nin" → türkiye, nin). */
export function latinWords(text: string): string[] {
  return text.normalize('NFC').toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
}

/** The Latin-script languages in which this word is one of the listed everyday words. */
export function knownIn(word: string): readonly Language[] {
  return DICTIONARY.get(word.normalize('NFC').toLowerCase()) ?? [];
}

export function identify(text: string): Identified {
  const main = mainScript(text);
  if (!main) return { script: null, language: null, scores: {} };
  if (main.script !== 'Latin') return { script: main.script, language: LANGUAGE_OF[main.script] ?? null, scores: {} };
  const scores: Record<LatinLanguage, number> = { en: 0, de: 0, es: 0, vi: 0, ro: 0, tr: 0 };
  const add = (gain: Partial<Record<LatinLanguage, number>>, times = 1): void => {
    for (const [l, s] of Object.entries(gain) as [LatinLanguage, number][]) scores[l] += s * times;
  };
  for (const word of latinWords(text)) {
    const known = DICTIONARY.get(word);
    if (known) {
      // A word of several languages says less; a one-letter word says little.
      const weight = (word.length === 1 ? 0.8 : word.length === 2 ? 1.8 : 2.4) / known.length;
      for (const l of known) scores[l] += weight;
    } else if (word.length >= 5) {
      for (const [re, gain] of ENDINGS) if (re.test(word)) add(gain);
    }
  }
  const lower = text.normalize('NFC').toLowerCase();
  for (const [re, gain] of LETTERS) {
    const n = lower.match(re)?.length ?? 0;
    // The third ñ says no more than the second.
    if (n > 0) add(gain, Math.min(n, 2));
  }
  const ranked = LATIN_LANGUAGES.map((l) => [l, scores[l]] as const).sort((a, b) => b[1] - a[1]);
  const sure = ranked[0][1] >= 1.6 && ranked[0][1] - ranked[1][1] >= 0.8 && ranked[0][1] >= 1.3 * ranked[1][1];
  return { script: 'Latin', language: sure ? ranked[0][0] : null, scores };
}

/** Small words that stand inside names. */
const CONNECTORS = new Set('of the de la las los del der den das von van zu da du di dos e y i și din le al el bin ibn and und ve và & a'.split(' '));

/** Written like a name or an acronym: every word but connectors starts with a capital (or is a number), at most seven words. */
export function looksLikeName(text: string): boolean {
  const words = text.normalize('NFC').match(/[\p{L}\p{M}\p{N}.'’&-]+/gu) ?? [];
  const heavy = words.filter((w) => !CONNECTORS.has(w));
  if (heavy.length === 0 || words.length > 7) return false;
  if (!heavy.some((w) => /\p{Lu}/u.test(w))) return false;
  // "The baker" begins with a capital only because a sentence does.
  const first = heavy[0].toLowerCase();
  if (heavy.length > 1 && (knownIn(first).length > 0 || CONNECTORS.has(first)) && !heavy.slice(1).every((w) => /^[\p{Lu}\p{N}]/u.test(w))) return false;
  return heavy.every((w) => /^['’.-]*(?:\p{Lu}|\p{N})/u.test(w) || /\p{Lu}/u.test(w));
}

/** Digits with at most signs, units and one short word: 42, 1.5 km, 24 %, €30, 1990s, IV. */
export function looksLikeNumber(text: string): boolean {
  const bare = text.trim();
  if (!/\p{N}/u.test(bare)) return /^[IVXLCDM]+\.?$/.test(bare);
  const letters = bare.match(/\p{L}/gu)?.length ?? 0;
  const digits = bare.match(/\p{N}/gu)?.length ?? 0;
  return letters <= 3 || letters < digits;
}

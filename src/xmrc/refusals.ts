/** How models say that they will not or cannot answer, in the twelve languages. Ours. */
import type { Language } from '../types';

export const REFUSALS: Record<Language, readonly string[]> = {
  en: ["i don't know", 'i do not know', "i can't", 'i cannot', "i'm unable", 'i am unable', "i'm sorry", 'i am sorry', "i'm not able", 'as an ai', 'unable to answer', 'cannot be answered', 'cannot be determined', 'not mentioned in', 'not provided in', 'not stated in', 'not specified', 'does not mention', "doesn't mention", 'does not say', "doesn't say", 'does not provide', 'does not contain', 'does not specify', 'no information', 'not enough information', 'there is no answer', 'no answer', 'unanswerable', 'not possible to answer', 'not given in the text', 'is unknown'],
  de: ['ich weiß nicht', 'ich weiß es nicht', 'ich kann nicht', 'ich kann diese frage nicht', 'ich kann die frage nicht', 'tut mir leid', 'es tut mir leid', 'leider kann ich', 'als ki', 'wird nicht erwähnt', 'nicht erwähnt', 'nicht angegeben', 'keine angabe', 'keine information', 'geht aus dem text nicht hervor', 'steht nicht im text', 'nicht beantworten', 'nicht beantwortet werden', 'keine antwort', 'der text sagt nicht', 'enthält keine'],
  es: ['no lo sé', 'no sé', 'no puedo', 'lo siento', 'como modelo de lenguaje', 'como ia', 'no se menciona', 'no menciona', 'no se indica', 'no se especifica', 'no se proporciona', 'no hay información', 'no contiene', 'no es posible responder', 'no se puede determinar', 'no se puede responder', 'sin respuesta', 'no hay respuesta', 'el texto no dice', 'información insuficiente', 'no tengo información'],
  vi: ['tôi không biết', 'không biết', 'tôi không thể', 'xin lỗi', 'rất tiếc', 'không được đề cập', 'không đề cập', 'không có thông tin', 'không thể trả lời', 'không có câu trả lời', 'không thể xác định', 'văn bản không', 'đoạn văn không', 'là một mô hình ngôn ngữ', 'không đủ thông tin', 'không được nêu'],
  zh: ['我不知道', '不知道', '我无法', '无法回答', '无法确定', '抱歉', '对不起', '没有提到', '未提到', '没有提及', '未提及', '没有说明', '未说明', '没有提供', '未提供', '没有相关信息', '没有足够的信息', '没有答案', '作为一个人工智能', '作为一个语言模型', '不能回答', '文中没有'],
  hi: ['मुझे नहीं पता', 'मैं नहीं जानता', 'मैं नहीं जानती', 'पता नहीं', 'क्षमा करें', 'माफ़ करें', 'माफ करें', 'खेद है', 'उल्लेख नहीं', 'जानकारी नहीं', 'उत्तर नहीं दे', 'उत्तर नहीं दिया', 'जवाब नहीं दे', 'कोई उत्तर नहीं', 'कोई जानकारी नहीं', 'नहीं बताया गया', 'नहीं दिया गया', 'एक एआई', 'निर्धारित नहीं किया'],
  ar: ['لا أعرف', 'لا أعلم', 'لا أستطيع', 'لا يمكنني', 'عذرا', 'عذراً', 'آسف', 'أعتذر', 'غير مذكور', 'لم يذكر', 'لم يُذكر', 'لا يذكر', 'لا يوجد', 'لا توجد معلومات', 'لا تتوفر', 'لا يحتوي النص', 'لا يمكن تحديد', 'لا يمكن الإجابة', 'لا توجد إجابة', 'كنموذج لغوي', 'غير محدد في النص'],
  el: ['δεν γνωρίζω', 'δεν ξέρω', 'δεν μπορώ', 'συγγνώμη', 'λυπάμαι', 'δεν αναφέρεται', 'δεν αναφέρει', 'δεν υπάρχει πληροφορία', 'δεν υπάρχουν πληροφορίες', 'δεν παρέχεται', 'δεν παρέχονται', 'δεν μπορεί να απαντηθεί', 'δεν υπάρχει απάντηση', 'καμία πληροφορία', 'ως μοντέλο', 'δεν προσδιορίζεται', 'το κείμενο δεν λέει', 'δεν περιέχει'],
  ro: ['nu știu', 'nu ştiu', 'nu pot', 'îmi pare rău', 'ne pare rău', 'nu se menționează', 'nu este menționat', 'nu menționează', 'nu se precizează', 'nu este precizat', 'nu există informații', 'nu conține', 'nu se poate determina', 'nu se poate răspunde', 'nu există un răspuns', 'niciun răspuns', 'fără răspuns', 'ca model de limbaj', 'textul nu spune', 'nu este specificat'],
  ru: ['я не знаю', 'не знаю', 'я не могу', 'не могу ответить', 'извините', 'простите', 'к сожалению', 'не упоминается', 'не упомянуто', 'не указано', 'не указан', 'не сказано', 'не говорится', 'нет информации', 'нет ответа', 'нет данных', 'недостаточно информации', 'невозможно ответить', 'невозможно определить', 'как языковая модель', 'не содержит'],
  th: ['ไม่ทราบ', 'ฉันไม่รู้', 'ผมไม่รู้', 'ไม่สามารถ', 'ขออภัย', 'ขอโทษ', 'เสียใจ', 'ไม่ได้กล่าวถึง', 'ไม่มีการกล่าวถึง', 'ไม่ได้ระบุ', 'ไม่มีข้อมูล', 'ไม่พบข้อมูล', 'ข้อมูลไม่เพียงพอ', 'ไม่มีคำตอบ', 'ในฐานะโมเดลภาษา', 'ไม่ได้บอก'],
  tr: ['bilmiyorum', 'cevap veremem', 'yanıt veremem', 'cevaplayamam', 'yanıtlayamam', 'üzgünüm', 'özür dilerim', 'maalesef', 'bahsedilmiyor', 'bahsedilmemiştir', 'belirtilmemiş', 'belirtilmiyor', 'bilgi yok', 'bilgi bulunmuyor', 'bilgi bulunmamaktadır', 'yeterli bilgi', 'cevap yok', 'yanıt yok', 'cevaplanamaz', 'yanıtlanamaz', 'bir dil modeli', 'yer almıyor', 'yer almamaktadır'],
};

const SPACED = new Set<Language>(['en', 'de', 'es', 'vi', 'el', 'ro', 'ru', 'tr', 'ar', 'hi']);
const PATTERNS = (Object.entries(REFUSALS) as [Language, readonly string[]][]).map(([language, phrases]) => {
  const body = phrases.map((p) => fold(p).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  return [language, new RegExp(SPACED.has(language) ? `(?<![\\p{L}\\p{M}\\p{N}])(?:${body})(?![\\p{L}\\p{M}])` : `(?:${body})`, 'u')] as const;
});

function fold(text: string): string {
  return text.normalize('NFC').toLowerCase().replace(/[’ʼ`´]/g, "'").replace(/\s+/gu, ' ');
}

/** The refusal phrase a text holds and its language, or null. */
export function findRefusal(text: string): { language: Language; phrase: string } | null {
  const folded = fold(text);
  for (const [language, re] of PATTERNS) {
    const m = re.exec(folded);
    if (m) return { language, phrase: m[0] };
  }
  return null;
}

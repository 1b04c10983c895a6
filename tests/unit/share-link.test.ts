import { readFileSync } from 'node:fs';
import { zlibSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { fromBase64url, pack, toBase64url, unpack } from '../../src/share/base64url';
import { LINK_LIMIT, makeLink, parseLink, READ_LIMIT, TEXT_LIMIT, type ProbeLink } from '../../src/share/link';
import { isModel, modelNeed, needs, setNeed } from '../../src/share/needs';
import { fuzzed } from '../fixtures/share/fuzz';
import { isGroup, isLanguage, LIMITS, PROJECTIONS, type ViewState } from '../../src/share/view';

const golden = (JSON.parse(readFileSync(new URL('../fixtures/share/links.json', import.meta.url), 'utf8')) as { links: { hash: string; link: ProbeLink }[] }).links;
const open = (hash: string): ProbeLink => {
  const r = parseLink(hash);
  if (!r.ok) throw new Error(r.message);
  return r.value;
};
const write = (link: ProbeLink): string => {
  const r = makeLink(link);
  if (!r.ok) throw new Error(r.message);
  return r.value;
};
const text = (context: string, question = 'Где это?'): ProbeLink => ({ version: 1, ask: { kind: 'text', context, question, contextLanguage: 'ru', questionLanguage: 'ru' }, models: [{ id: 'bundled:x' }], view: { layer: 3 } });

describe('old links open for good', () => {
  for (const { hash, link } of golden)
    it(hash.slice(0, 60), () => {
      const r = parseLink(hash);
      expect(r).toEqual({ ok: true, value: link, remarks: [] });
      expect(write(link)).toBe(hash);
      expect(parseLink(`https://lab.example/sub/path/${hash}`)).toEqual(r);
    });
});

describe('view → link → view', () => {
  it('custom text in any script, with an answer and an edited prompt', () => {
    for (const context of ['Die Bahn fährt ab.', '北京是中国的首都。', 'กรุงเทพเป็นเมืองหลวง', 'القاهرة عاصمة مصر', 'emoji 👩‍👩‍👧 \u0000 "quotes" & <b>']) {
      const link = text(context);
      if (link.ask?.kind === 'text') {
        link.ask.answer = { text: [...context].slice(1, 3).join(''), start: 1 };
        link.ask.prompt = { text: 'Q: {question}' };
      }
      expect(open(write(link))).toEqual(link);
    }
  });
  it('everything that can be chosen in a view, and nothing where it is as the page has it', () => {
    const view: ViewState = {
      tab: 'lens', layer: 2, token: 9, pinned: [4, 7], groups: ['question', 'answerSpan'], projection: 'plane', basis: 'ab'.repeat(8), signs: [1, -1], range: [1, 3], follow: 4312, threshold: 0.8,
      apart: true, shade: 'entropy', followBy: 'rank', spread: 'quartiles', compared: 'alignment', alignment: { items: 20, passage: 'own', how: 'answer-centred', languages: ['de', 'th'] }, hide: ['frame'],
    };
    const link: ProbeLink = { ...text('x'), view };
    expect(open(write(link))).toEqual(link);
    expect(write({ ...link, view: {} })).not.toMatch(/[&?](tab|l|ap|sh|fm|cb|cm|al|hide)=/);
    expect(open('#/probe?v=1&al=100&sh=top&fm=p&cb=each&cm=lens').view).toEqual({ alignment: { items: 100 } });
    const read = parseLink('#/probe?v=1&al=33&sh=glare&fm=x&cb=x&cm=x&ap=2');
    expect(read.ok && read.value.view).toEqual({});
    expect(read.ok && read.remarks).toHaveLength(6);
    expect(open('#/probe?v=1&al=50,en').view).toEqual({});
  });
  it('an item’s edited prompt, which history carries however long it is', () => {
    const ask = { kind: 'item' as const, set: 'world', item: 'w-1', contextLanguage: 'en' as const, questionLanguage: 'de' as const, prompt: { shots: 1, text: 'Lies: {context}\nFrage: {question}\nAntwort:' } };
    const link: ProbeLink = { version: 1, ask, models: [], view: {} };
    expect(open(write(link))).toEqual(link);
    expect(parseLink('#/probe?v=1&set=world&item=w-1&e=AAAA')).toMatchObject({ ok: false, code: 'broken' });
    let s = 3;
    const noise = Array.from({ length: 3000 }, () => String.fromCodePoint(0x4e00 + ((s = (s * 48271) % 2147483647) % 5000))).join('');
    const long: ProbeLink = { ...link, ask: { ...ask, prompt: { text: noise } } };
    expect(makeLink(long)).toMatchObject({ ok: false, code: 'too-long' });
    const made = makeLink(long, '', READ_LIMIT);
    expect(made.ok && open(made.value)).toEqual(long);
  });
  it('an XQuAD item with two pinned models and a full view stays under the limit, readable', () => {
    const hash = golden[1].hash;
    expect(hash.length).toBeLessThan(700);
    expect(hash).toContain('item=56beb4343aeaaa14008c925c');
  });
  it('a text too long for a link offers a file', () => {
    let s = 7;
    const noise = Array.from({ length: 6000 }, () => String.fromCodePoint(0x4e00 + ((s = (s * 48271) % 2147483647) % 5000))).join('');
    const r = makeLink(text(noise));
    expect(r).toMatchObject({ ok: false, code: 'too-long' });
    expect(r.ok ? '' : r.message).toContain('file');
    expect(LINK_LIMIT).toBe(2000);
  });
  it('says what a link cannot promise', () => {
    const r = makeLink({ version: 1, ask: null, models: [{ id: 'a/b' }, { id: 'files:abc' }], view: {} });
    expect(r.ok && r.remarks.join(' ')).toMatch(/not pinned.*same files/s);
  });
});

describe('what is wrong with a link is said', () => {
  const message = (hash: string): string => {
    const r = parseLink(hash);
    return r.ok ? '' : `${r.code}: ${r.message}`;
  };
  it('cut, foreign, newer, damaged', () => {
    expect(message('#/probe')).toMatch(/^broken: .*version/);
    expect(message('')).toMatch(/^not-a-link/);
    expect(message('#/study?v=1')).toMatch(/^not-a-link/);
    expect(message('#/probe?v=2')).toMatch(/^newer-version: .*newer lab/);
    expect(message('#/probe?v=1&set=world')).toMatch(/^broken: .*no item/);
    expect(message('#/probe?v=1&set=../../etc&item=x')).toMatch(/^broken/);
    expect(message('#/probe?v=1&m=javascript:alert(1)')).toMatch(/^broken/);
    expect(message('#/probe?v=1&m=a/..')).toMatch(/^broken/);
    expect(message('#/probe?v=1&m=a/b@../x')).toMatch(/^broken/);
    expect(message('#/probe?v=1&m=a/b&h=file:///etc')).toMatch(/^broken/);
    expect(message('#/probe?v=1&m=a/b&h=https://user:pw@host')).toMatch(/^broken/);
    expect(message('#/probe?v=1&x=@@@')).toMatch(/^broken/);
    expect(message(`#/probe?v=1&x=${pack('{"context":1}')}`)).toMatch(/^broken/);
    expect(message(`#/probe?v=1&x=${pack('not json')}`)).toMatch(/^broken/);
    expect(message(`#/probe?v=1&x=${toBase64url(zlibSync(new Uint8Array(9)))}`)).toMatch(/^broken/);
    expect(message(`#/probe?${'a'.repeat(70_000)}`)).toMatch(/^too-long/);
  });
  it('a small link that unfolds to very much is stopped', () => {
    const bomb = pack('0'.repeat(TEXT_LIMIT * 30));
    expect(bomb.length).toBeLessThan(20_000);
    expect(unpack(bomb, TEXT_LIMIT)).toEqual({ ok: false, why: 'too-large' });
    expect(message(`#/probe?v=1&x=${bomb}`)).toMatch(/^too-large/);
  });
  it('out of range is brought in, unknown is left out, and both are said', () => {
    const r = parseLink('#/probe?v=1&l=99999&i=-3&th=7&z=1e9,0,0&r=9-2&p=tsne&d=tpu&pin=en,xx,en&g=question,soul&s=??&c=xx&future=yes&l=2');
    expect(r.ok && r.value.view).toEqual({ layer: LIMITS.layer, token: 0, threshold: 1, zoom: { k: LIMITS.zoom, x: 0, y: 0 }, range: [2, 9], pins: ['en'], groups: ['question'] });
    expect(r.ok && r.value.device).toBeUndefined();
    expect(r.ok && r.remarks.length).toBeGreaterThanOrEqual(8);
    const many = parseLink(`#/probe?v=1&d2=abacus&pt=${Array.from({ length: 40 }, (_, i) => i).join(',')},-5,x,1e12,3`);
    expect(many.ok && many.value.view.pinned).toHaveLength(LIMITS.pinned);
    expect(many.ok && many.value.deviceB).toBeUndefined();
    expect(many.ok && many.remarks.join(' ')).toMatch(/brought to 0.*not a number.*first 24 are kept.*abacus/s);
  });
  it('nothing is fetched from anywhere without the reader’s consent', () => {
    expect(needs(open(golden[0].hash))).toEqual([]);
    expect(needs(open(golden[1].hash)).map((n) => n.host)).toEqual(['https://huggingface.co', 'https://huggingface.co']);
    expect(needs(open(golden[3].hash))[0].text).toContain('a host this link chose');
    expect(needs({ version: 1, ask: null, models: [{ id: 'bundled:x', host: 'https://evil.example' }], view: {} })).toHaveLength(1);
  });
  it('how much is said where it is known, and who knows it where it is not', () => {
    expect(modelNeed({ id: 'a/b', revision: 'main', dtype: 'q4' }, null).text).toBe('Running this downloads a/b@main:q4 from https://huggingface.co. How much that is, only that host can tell.');
    expect(modelNeed({ id: 'a/b', host: 'https://mirror.example' }, 92_100_000).text).toBe('Running this downloads a/b from https://mirror.example, a host this link chose, 92.1 MB.');
    expect(setNeed('xquad', 'https://raw.example', 13_962_801).text).toMatch(/“xquad”.*https:\/\/raw\.example, 14\.0 MB/);
  });
  it('a model at hand is the one that is named, as far as it is named', () => {
    const here = { id: 'a/b', revision: 'c0ffee', dtype: 'q4' };
    for (const named of [{ id: 'a/b' }, { id: 'a/b', dtype: 'q4' }, here, { ...here, host: 'https://huggingface.co' }]) expect(isModel(named, here)).toBe(true);
    for (const named of [{ id: 'a/c' }, { id: 'a/b', dtype: 'fp32' }, { id: 'a/b', revision: 'main' }, { id: 'a/b', host: 'https://mirror.example' }]) expect(isModel(named, here)).toBe(false);
    // this build's own is all there is of a bundled one: that it was trained anew is said, not asked for
    expect(isModel({ id: 'bundled:x', revision: 'r1' }, { id: 'bundled:x', revision: 'r2', dtype: 'q4' })).toBe(true);
  });
});

describe('base64url', () => {
  it('round trips every length', () => {
    for (let n = 0; n < 70; n++) {
      const bytes = Uint8Array.from({ length: n }, (_, i) => (i * 97 + n) & 255);
      expect(fromBase64url(toBase64url(bytes))).toEqual(bytes);
    }
    expect(fromBase64url('a')).toBeNull();
    expect(fromBase64url('aé')).toBeNull();
  });
});

describe('ten thousand damaged links', () => {
  it('each is opened within its limits or explained; none throws', () => {
    const seeds = [...golden.map((g) => g.hash), write(text('Der Fluss heißt Elbe.')), write(text('长江是河。'.repeat(40)))];
    let opened = 0;
    const faults: string[] = [];
    for (const hash of fuzzed(seeds, 10_000)) {
      const result = parseLink(hash);
      if (!result.ok) {
        if (result.message.length < 20) faults.push(`unexplained: ${hash}`);
        continue;
      }
      opened++;
      const { view, models, ask, device, languages } = result.value;
      const must = (what: string, holds: boolean): void => {
        if (!holds) faults.push(`${what}: ${hash}`);
      };
      must('layer', Number.isInteger(view.layer ?? 0) && (view.layer ?? 0) >= 0 && (view.layer ?? 0) <= LIMITS.layer);
      must('token', Number.isInteger(view.token ?? 0));
      must('zoom', (view.zoom?.k ?? 1) > 0 && Number.isFinite((view.zoom?.x ?? 0) + (view.zoom?.y ?? 0)));
      must('languages', (view.pins ?? []).every(isLanguage) && (languages ?? []).every(isLanguage) && (view.groups ?? []).every(isGroup));
      must('projection', view.projection === undefined || PROJECTIONS.includes(view.projection));
      must('pinned tokens', (view.pinned ?? []).length <= LIMITS.pinned && (view.pinned ?? []).every((n) => Number.isInteger(n) && n >= 0 && n <= LIMITS.follow));
      must('device', device === undefined || device === 'webgpu' || device === 'wasm');
      for (const m of models) {
        must('model', /^((bundled|files):[\w.-]+|[\w.-]+\/[\w.-]+)$/.test(m.id) && !/(^|\/)\.+(\/|$)/.test(`${m.id}/${m.revision ?? ''}`));
        must('host', m.host === undefined || /^https?:\/\//.test(m.host));
        must('consent', m.host === undefined || needs(result.value).length > 0);
      }
      if (ask?.kind === 'item') must('item', !/[/<>\s]/.test(`${ask.set}${ask.item}`));
      must('rewritable', typeof makeLink(result.value).ok === 'boolean');
    }
    expect(faults).toEqual([]);
    expect(opened).toBeGreaterThan(500);
  }, 60_000);
});

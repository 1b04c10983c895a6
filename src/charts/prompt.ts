/** The prompt and what was answered as a figure: every token's text in its group's colour, wrapped to the width, right-to-left lines from the right. */
import { GROUPS, type TokenGroup, type TokenInfo } from '../types';
import { frame, SIZE, type Cell, type Chart, type ChartOptions } from './chart';
import { h, type SvgNode } from './svg';
import { isRtl, short, textWidth } from './text';
import { cssTheme, GROUP_NAME } from './theme';

export interface PromptData {
  /** In order; one with the text '' goes on with the grapheme begun before it. */
  tokens: TokenInfo[];
}

const TEXT = 15;
const LINE = 27;

interface Run {
  group: TokenGroup;
  text: string;
  /** The template's marks are set by themselves: their brackets would be scattered through an Arabic line. */
  special: boolean;
}
interface Line {
  runs: Run[];
  /** Without the template's marks, whose Latin letters say nothing of which way the line runs. */
  plain: string;
}

/** Runs of one group by visual line: letters that join are never torn into elements of their own within a group. */
function layOut(tokens: readonly TokenInfo[], width: number): Line[] {
  const lines: Line[] = [{ runs: [], plain: '' }];
  let used = 0;
  for (const { text, group, special } of tokens) {
    const shown = text.replace(/\n/g, '↵');
    const w = textWidth(shown, TEXT);
    if (used > 0 && used + w > width) {
      lines.push({ runs: [], plain: '' });
      used = 0;
    }
    used += w;
    const line = lines[lines.length - 1];
    const last = line.runs[line.runs.length - 1];
    if (last?.group === group && last.special === special) last.text += shown;
    else line.runs.push({ group, text: shown, special });
    if (!special) line.plain += text;
    if (text.endsWith('\n')) {
      lines.push({ runs: [], plain: '' });
      used = 0;
    }
  }
  return lines.filter((l) => l.runs.length > 0);
}

export function promptText(data: PromptData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const { tokens } = data;
  const counts = GROUPS.flatMap((group) => {
    const n = tokens.filter((t) => t.group === group).length;
    return n ? [{ group, n }] : [];
  });
  const lines = layOut(tokens, width - 8);
  // the legend wraps as the text does
  const legend: SvgNode[] = [];
  let x = 0;
  let y = 14;
  for (const { group, n } of counts) {
    const name = `${GROUP_NAME[group]} ${n}`;
    const w = textWidth(name, SIZE.text) + 18;
    if (x > 0 && x + w > width) {
      x = 0;
      y += 18;
    }
    legend.push(h('text', { x, y, 'font-weight': 600, fill: theme.groups[group] }, name));
    x += w;
  }
  const top = y + 26;
  const height = options.height ?? top + lines.length * LINE;
  const drawn = lines.map(({ runs, plain }, i) => {
    const rtl = isRtl(plain);
    return h(
      'text',
      { class: 'line', x: rtl ? width : 0, y: top + i * LINE, 'font-size': TEXT, direction: rtl ? 'rtl' : null, 'xml:space': 'preserve' },
      // by characters, not by attributes: a first piece with a direction of its own would be anchored by that, and the line run out of the picture
      runs.map((r) => h('tspan', { 'data-group': r.group, fill: theme.groups[r.group] }, rtl && r.special ? `\u2066${r.text}\u2069` : r.text)),
    );
  });
  const prompt = counts.filter((c) => c.group !== 'answer');
  const read = prompt.reduce((n, c) => n + c.n, 0);
  const question = tokens.filter((t) => t.group === 'question');
  const letters = question.reduce((n, t) => n + [...t.text].length, 0);
  const finding =
    options.label ??
    (tokens.length === 0
      ? 'The prompt has no tokens.'
      : `The prompt has ${read} tokens: ${prompt.map((c) => `${c.n} ${GROUP_NAME[c.group]}`).join(', ')}.${tokens.length > read ? ` The answer has ${tokens.length - read}.` : ''}${question.length ? ` The question takes ${short(letters / question.length)} characters a token.` : ''}`);
  return {
    svg: frame('prompt', options, height, finding, h('g', { class: 'legend', 'aria-hidden': 'true' }, legend), drawn),
    width,
    height,
    title: options.title ?? 'The prompt and the answer, token by token',
    finding,
    table: {
      columns: ['position', 'token', 'id', 'group', 'start', 'end', 'special'],
      rows: tokens.map((t, i): Cell[] => [i, t.text, t.id, GROUP_NAME[t.group], t.start, t.end, t.special ? 'yes' : '']),
    },
    // the page has the text itself under the pointer
    locate: () => null,
  };
}

/**
 * JSON.parse that always knows the line. Engines disagree on whether and how an error names its place, so on failure (and only
 * then) a small scanner finds where the text stops being JSON.
 */
export class BrokenJson extends Error {
  readonly line: number;
  readonly column: number;
  constructor(line: number, column: number, what: string) {
    super(`line ${line}, column ${column}: ${what}`);
    this.name = 'BrokenJson';
    this.line = line;
    this.column = column;
  }
}

export function parseJson(text: string): unknown {
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    const at = failure(body);
    const { line, column } = place(body, at.index);
    throw new BrokenJson(line, column, at.what || (error as Error).message);
  }
}

/** 1-based line and column of a UTF-16 index; CRLF, LF and CR each end one line. */
export function place(text: string, index: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (const m of text.slice(0, index).matchAll(/\r\n|\n|\r/g)) {
    line++;
    start = m.index + m[0].length;
  }
  return { line, column: index - start + 1 };
}

class Stop extends Error {
  readonly index: number;
  constructor(index: number, what: string) {
    super(what);
    this.index = index;
  }
}

const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const BLANK = /[ \t\r\n]*/y;

function failure(text: string): { index: number; what: string } {
  let i = 0;
  const match = (re: RegExp): boolean => {
    re.lastIndex = i;
    const m = re.exec(text);
    if (!m) return false;
    i = re.lastIndex;
    return true;
  };
  const stop = (expected: string): never => {
    throw new Stop(i, i >= text.length ? `the file ends where ${expected} should stand` : `${expected} expected, found ${JSON.stringify(text[i])}`);
  };
  const string = (): void => {
    if (text[i] !== '"') stop('a string in double quotes');
    match(STRING);
    if (text[i] !== '"') stop('the end of a string (no bare line break or control character inside)');
    i++;
  };
  // Iterative, because a hostile file may nest deeper than the call stack.
  const open: ('{' | '[')[] = [];
  try {
    for (;;) {
      match(BLANK);
      if (text[i] === '{' || text[i] === '[') {
        const bracket = text[i++] as '{' | '[';
        match(BLANK);
        if (text[i] === (bracket === '{' ? '}' : ']')) i++;
        else {
          open.push(bracket);
          if (bracket === '{') key();
          continue;
        }
      } else if (text[i] === '"') string();
      else if (!match(SCALAR)) stop('a value');
      for (;;) {
        match(BLANK);
        const inside = open.at(-1);
        if (!inside) {
          if (i < text.length) stop('the end of the file');
          return { index: i, what: '' };
        }
        if (text[i] === ',') {
          i++;
          if (inside === '{') key();
          break;
        }
        if (text[i] !== (inside === '{' ? '}' : ']')) stop(inside === '{' ? '"," or "}"' : '"," or "]"');
        i++;
        open.pop();
      }
    }
  } catch (error) {
    if (error instanceof Stop) return { index: error.index, what: error.message };
    throw error;
  }
  function key(): void {
    match(BLANK);
    string();
    match(BLANK);
    if (text[i] !== ':') stop('":"');
    i++;
  }
}

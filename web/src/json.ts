// Checks what a person typed before it is sent, and says where it is wrong. Engines that say so at all
// word it differently, so the place is found here, by the grammar of RFC 8259.

export interface JsonProblem {
  line: number;
  column: number;
  atEnd: boolean; // something is missing, rather than wrong
}

const DEPTH_MAX = 500;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING_PART = /[^"\\\u0000-\u001f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}/y;
const WORDS = ['true', 'false', 'null'];

class Scanner {
  at = 0;

  constructor(private readonly text: string) {}

  // False: wrong at this.at.
  document(): boolean {
    if (!this.value(0)) return false;
    this.space();
    return this.at === this.text.length;
  }

  private space(): void {
    while (/[ \t\n\r]/.test(this.text.charAt(this.at))) this.at += 1;
  }

  private take(c: string): boolean {
    if (this.text.charAt(this.at) !== c) return false;
    this.at += 1;
    return true;
  }

  private match(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  private value(depth: number): boolean {
    this.space();
    if (depth > DEPTH_MAX) return false;
    if (this.take('{')) return this.list('}', () => this.member(depth));
    if (this.take('[')) return this.list(']', () => this.value(depth + 1));
    if (this.text.charAt(this.at) === '"') return this.string();
    return this.word() || this.match(NUMBER);
  }

  private list(end: string, item: () => boolean): boolean {
    this.space();
    if (this.take(end)) return true;
    do {
      if (!item()) return false;
      this.space();
    } while (this.take(','));
    return this.take(end);
  }

  private member(depth: number): boolean {
    this.space();
    if (!this.string()) return false;
    this.space();
    return this.take(':') && this.value(depth + 1);
  }

  private string(): boolean {
    if (!this.take('"')) return false;
    while (this.match(STRING_PART));
    return this.take('"');
  }

  private word(): boolean {
    const word = WORDS.find((w) => this.text.startsWith(w, this.at));
    this.at += word?.length ?? 0;
    return word !== undefined;
  }
}

export function checkJson(text: string): JsonProblem | null {
  const scanner = new Scanner(text);
  if (scanner.document()) return null;
  const before = text.slice(0, scanner.at).split('\n');
  return {
    line: before.length,
    column: (before[before.length - 1] ?? '').length + 1,
    atEnd: text.slice(scanner.at).trim() === '',
  };
}

// Indents without going through numbers, so that 1.0 and 12345678901234567890 stay as they are.
export function indentJson(text: string): string {
  let out = '';
  let depth = 0;
  let inString = false;
  const line = (): string => `\n${'  '.repeat(depth)}`;
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charAt(i);
    if (inString) {
      out += c;
      if (c === '\\') out += text.charAt(++i);
      else if (c === '"') inString = false;
    } else if (c === '"') {
      inString = true;
      out += c;
    } else if (c === '{' || c === '[') {
      const rest = /^\s*[\]}]/.exec(text.slice(i + 1, i + 200));
      if (rest) {
        out += c + rest[0].trim();
        i += rest[0].length;
      } else {
        depth += 1;
        out += c + line();
      }
    } else if (c === '}' || c === ']') {
      depth -= 1;
      out += line() + c;
    } else if (c === ',') {
      out += c + line();
    } else if (c === ':') {
      out += ': ';
    } else if (!/\s/.test(c)) {
      out += c;
    }
  }
  return out;
}

// The body of a publish, with data exactly as it was typed.
export function publishBody(fields: Record<string, string>, data: string): string {
  const named = Object.entries(fields)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...named, `"data":${data.trim()}`].join(',')}}`;
}

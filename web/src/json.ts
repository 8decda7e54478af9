// Checks what a person typed before it is sent, and says where it is wrong.

export interface JsonProblem {
  line: number;
  column: number;
  message: string;
}

function place(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split('\n');
  return { line: before.length, column: (before[before.length - 1] ?? '').length + 1 };
}

// Engines word their errors differently; the place is in there as "position N" or "line N column M".
export function checkJson(text: string): JsonProblem | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const named = /line (\d+) column (\d+)/.exec(message);
    const position = /position (\d+)/.exec(message);
    const at = named
      ? { line: Number(named[1]), column: Number(named[2]) }
      : place(text, position ? Number(position[1]) : text.trimEnd().length);
    return { ...at, message: message.replace(/^JSON\.parse: /, '') };
  }
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

// Lines of the log: kept ones from the server and live ones behind them, each once, and bounded.

import { rest } from './api';

export interface LogLine {
  seq: number | null;
  time: string;
  level: string;
  source: string;
  message: string;
}

export interface LogFilter {
  level: string;
  source: string;
  q: string;
}

export const LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export const KEPT_MAX = 1000;

const RANKS: Record<string, number> = { debug: 0, info: 1, warning: 2, warn: 2, error: 3, critical: 4 };

export function readLine(data: unknown): LogLine | null {
  if (typeof data !== 'object' || data === null) return null;
  const line = data as Record<string, unknown>;
  if (typeof line['message'] !== 'string') return null;
  const text = (name: string): string => (typeof line[name] === 'string' ? line[name] as string : '');
  return {
    seq: typeof line['seq'] === 'number' ? line['seq'] : null,
    time: text('time') || text('timestamp'),
    level: text('level') || 'info',
    source: text('source'),
    message: line['message'],
  };
}

// As the server filters: from a level on, of exactly one source, with a piece of text.
export function matchLine(filter: LogFilter, line: LogLine): boolean {
  if (filter.level !== '' && (RANKS[line.level] ?? 1) < (RANKS[filter.level] ?? 0)) return false;
  if (filter.source !== '' && line.source !== filter.source) return false;
  return filter.q === '' || line.message.toLowerCase().includes(filter.q.toLowerCase());
}

export class LogBook {
  lines: LogLine[] = [];

  // The newest stored lines, as often as they are asked for.
  merge(rows: readonly LogLine[]): boolean {
    const known = new Set(this.lines.map((line) => line.seq));
    const fresh = rows.filter((row) => row.seq === null || !known.has(row.seq));
    if (fresh.length === 0) return false;
    // A live line without a number is among those that came now with one.
    const texts = new Set(fresh.map((row) => `${row.level} ${row.source} ${row.message}`));
    const kept = this.lines.filter((line) =>
      line.seq !== null || !texts.has(`${line.level} ${line.source} ${line.message}`));
    this.lines = [...kept, ...fresh]
      .map((line, i) => ({ line, i }))
      .sort((a, b) => (a.line.seq !== null && b.line.seq !== null ? a.line.seq - b.line.seq : a.i - b.i))
      .map(({ line }) => line)
      .slice(-KEPT_MAX);
    return true;
  }

  // False: it was there already.
  add(line: LogLine): boolean {
    if (line.seq !== null && this.lines.some((old) => old.seq === line.seq)) return false;
    this.lines.push(line);
    if (this.lines.length > KEPT_MAX * 1.2) this.lines = this.lines.slice(-KEPT_MAX);
    return true;
  }

  // Older ones that were asked for: beyond the bound, because somebody wants to see them.
  prepend(rows: readonly LogLine[]): void {
    const known = new Set(this.lines.map((line) => line.seq));
    this.lines = [...rows.filter((row) => !known.has(row.seq)), ...this.lines];
  }

  get firstSeq(): number | undefined {
    return this.lines.find((line) => line.seq !== null)?.seq ?? undefined;
  }
}

export async function readLogs(
  filter: LogFilter, limit: number, before?: number,
): Promise<{ logs: LogLine[]; has_more: boolean }> {
  const page = await rest<{ logs: unknown[]; has_more: boolean }>('GET', 'logs', {
    query: { level: filter.level, source: filter.source, q: filter.q, limit, before },
  });
  return {
    logs: page.logs.flatMap((row) => readLine(row) ?? []),
    has_more: page.has_more,
  };
}

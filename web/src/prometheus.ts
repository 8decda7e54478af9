// Reads the Prometheus text format as far as a console needs it: samples with labels, rates between
// two readings and quantiles of a histogram.

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export class Reading {
  private readonly byName = new Map<string, Sample[]>();

  constructor(samples: readonly Sample[], readonly atMs: number) {
    for (const sample of samples) {
      const list = this.byName.get(sample.name);
      if (list) list.push(sample);
      else this.byName.set(sample.name, [sample]);
    }
  }

  all(name: string): readonly Sample[] {
    return this.byName.get(name) ?? [];
  }

  // The sum over all label sets; null when the server does not report it.
  sum(name: string): number | null {
    const list = this.byName.get(name);
    if (!list) return null;
    return list.reduce((total, sample) => total + sample.value, 0);
  }

  by(name: string, label: string): Map<string, number> {
    const totals = new Map<string, number>();
    for (const { labels, value } of this.all(name)) {
      const key = labels[label] ?? '';
      totals.set(key, (totals.get(key) ?? 0) + value);
    }
    return totals;
  }
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const match of text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)) {
    const [, name, raw] = match;
    if (name === undefined || raw === undefined) continue;
    labels[name] = raw.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  return labels;
}

function readNumber(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)(?:\s+-?\d+)?$/;

export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const match = LINE.exec(line.trim());
    if (!match || match[1] === undefined || match[3] === undefined) continue;
    const value = readNumber(match[3]);
    if (Number.isNaN(value)) continue;
    samples.push({ name: match[1], labels: match[2] ? readLabels(match[2]) : {}, value });
  }
  return samples;
}

// Growth per second of a counter; null after a restart, when the counter fell.
export function rate(before: number | null, after: number | null, seconds: number): number | null {
  if (before === null || after === null || seconds <= 0 || after < before) return null;
  return (after - before) / seconds;
}

export interface Bucket {
  upTo: number;
  count: number;
}

// What a histogram counted between two readings (or since the start), cumulative by upper bound.
export function histogramDelta(before: Reading | null, after: Reading, name: string): Bucket[] {
  const earlier = before?.by(name, 'le') ?? new Map<string, number>();
  const buckets: Bucket[] = [];
  for (const [le, count] of after.by(name, 'le')) {
    const old = earlier.get(le) ?? 0;
    buckets.push({ upTo: readNumber(le), count: count >= old ? count - old : count });
  }
  return buckets.sort((a, b) => a.upTo - b.upTo);
}

// Interpolated inside the bucket as Prometheus does; null when nothing was counted.
export function quantile(q: number, buckets: readonly Bucket[]): number | null {
  const last = buckets[buckets.length - 1];
  if (!last || last.count <= 0) return null;
  const rank = q * last.count;
  let below = 0;
  let from = 0;
  for (const { upTo, count } of buckets) {
    if (count >= rank && count > below) {
      if (!Number.isFinite(upTo)) return from;
      return from + (upTo - from) * ((rank - below) / (count - below));
    }
    below = count;
    if (Number.isFinite(upTo)) from = upTo;
  }
  return from;
}

import { describe, expect, it } from 'vitest';
import { Reading, histogramDelta, parseMetrics, quantile, rate } from '../src/prometheus';

const NAME = 'recado_publish_to_write_seconds_bucket';

describe('parseMetrics', () => {
  it('reads names, labels and values and skips the rest', () => {
    const samples = parseMetrics(
      '# HELP recado_sessions Sessions\n# TYPE recado_sessions gauge\n' +
      'recado_sessions{dialect="native"} 3\nrecado_sessions{dialect="sse"} 2 1700000000000\n\n' +
      'recado_memory_bytes 1.5e+07\nnot a sample line at all\nrecado_bad NaN\n',
    );
    expect(samples).toEqual([
      { name: 'recado_sessions', labels: { dialect: 'native' }, value: 3 },
      { name: 'recado_sessions', labels: { dialect: 'sse' }, value: 2 },
      { name: 'recado_memory_bytes', labels: {}, value: 1.5e7 },
    ]);
  });

  it('understands escapes, braces and commas inside label values', () => {
    const [sample] = parseMetrics('m{a="x\\"y",b="p\\\\q\\nr",c="}, {"} 1');
    expect(sample?.labels).toEqual({ a: 'x"y', b: 'p\\q\nr', c: '}, {' });
  });
});

describe('Reading', () => {
  const reading = new Reading(parseMetrics('a{x="1"} 2\na{x="2"} 3\na{x="1",y="z"} 4\n'), 0);

  it('sums over labels, or by one', () => {
    expect(reading.sum('a')).toBe(9);
    expect(reading.by('a', 'x')).toEqual(new Map([['1', 6], ['2', 3]]));
  });

  it('says null, not zero, of what is not reported', () => {
    expect(reading.sum('b')).toBeNull();
  });
});

describe('rate', () => {
  it('is growth per second', () => expect(rate(10, 30, 4)).toBe(5));
  it('is unknown after a restart, without time and without readings', () => {
    expect(rate(10, 3, 2)).toBeNull();
    expect(rate(1, 2, 0)).toBeNull();
    expect(rate(null, 2, 1)).toBeNull();
    expect(rate(1, null, 1)).toBeNull();
  });
});

describe('quantile', () => {
  const at = (text: string): Reading => new Reading(parseMetrics(text), 0);
  const line = (le: string, n: number): string => `${NAME}{le="${le}"} ${n}\n`;

  it('interpolates what was counted between two readings', () => {
    const before = at(line('0.1', 100) + line('0.2', 100) + line('+Inf', 100));
    const after = at(line('0.1', 150) + line('0.2', 200) + line('+Inf', 200));
    const buckets = histogramDelta(before, after, NAME);
    expect(buckets.map((b) => b.count)).toEqual([50, 100, 100]);
    expect(quantile(0.5, buckets)).toBeCloseTo(0.1);
    expect(quantile(0.75, buckets)).toBeCloseTo(0.15);
  });

  it('does not depend on the order of the lines', () => {
    const buckets = histogramDelta(null, at(line('+Inf', 4) + line('1', 4) + line('0.5', 0)), NAME);
    expect(quantile(0.5, buckets)).toBeCloseTo(0.75);
  });

  it('answers the last bound for what lies beyond it, and null for nothing', () => {
    expect(quantile(0.99, histogramDelta(null, at(line('1', 1) + line('+Inf', 10)), NAME))).toBe(1);
    expect(quantile(0.5, histogramDelta(null, at(line('1', 0) + line('+Inf', 0)), NAME))).toBeNull();
    expect(quantile(0.5, [])).toBeNull();
  });

  it('starts over when the counters did', () => {
    const before = at(line('1', 100) + line('+Inf', 100));
    const after = at(line('1', 4) + line('+Inf', 4));
    expect(histogramDelta(before, after, NAME)[0]?.count).toBe(4);
  });
});

import { describe, expect, it } from 'vitest';
import { formatAge, formatBytes, formatCount, formatRate, formatSeconds, NOTHING } from '../src/format';
import { fill, pickLang, pluralOf, type Counted } from '../src/i18n';
import { en, pt, type Word } from '../src/words';

describe('words', () => {
  it('have the same places to fill in both languages', () => {
    const places = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
    for (const word of Object.keys(en) as Word[]) expect(places(pt[word]), word).toEqual(places(en[word]));
  });

  it('are filled, and keep what has no value', () => {
    expect(fill('{a} of {b}', { a: 0 })).toBe('0 of {b}');
  });
});

describe('counted words', () => {
  const counted = Object.keys(en).filter((word) => `${word}_one` in en) as Counted[];

  it.each(counted)('%s has a word for one and a word for many', (word) => {
    expect(pluralOf(word, 1, 'en')).toBe(`${word}_one`);
    expect(pluralOf(word, 1, 'pt-BR')).toBe(`${word}_one`);
    for (const count of [0, 2, 21, 1000, 1_000_000]) {
      expect(pluralOf(word, count, 'en')).toBe(word);
      expect(pluralOf(word, count, 'pt-BR')).toBe(word);
    }
  });

  it('say both forms: "1 event", "2 events"', () => {
    expect(counted.length).toBeGreaterThan(10);
    for (const word of counted) expect(pt[`${word}_one`], word).not.toBe(pt[word]);
    expect(fill(pt[pluralOf('linesShown', 1, 'pt-BR')], { n: 1 })).toBe('1 linha');
    expect(fill(en[pluralOf('sessionsShown', 2, 'en')], { shown: 1, total: 2 })).toBe('1 of 2 sessions');
  });

  it('leave no number beside a noun that is always in the plural', () => {
    const loose = (Object.keys(en) as Word[]).filter((word) => !word.endsWith('_one') && !(`${word}_one` in en)
      && /\{(n|total)\} \p{L}{3,}s\b/u.test(`${en[word]} ${pt[word]}`));
    expect(loose).toEqual([]);
  });
});

describe('pickLang', () => {
  it.each([
    [null, ['pt-BR', 'en'], 'pt-BR'],
    [null, ['pt-PT'], 'pt-BR'],
    [null, ['en-GB', 'pt'], 'en'],
    [null, ['de', 'pt', 'en'], 'pt-BR'],
    [null, ['de'], 'en'],
    [null, [], 'en'],
    ['pt-BR', ['en'], 'pt-BR'],
    ['en', ['pt'], 'en'],
    ['xx', ['pt'], 'pt-BR'],
  ])('kept %s, browser %j: %s', (kept, browser, expected) => {
    expect(pickLang(kept, browser)).toBe(expected);
  });
});

describe('formats', () => {
  it('show sizes', () => {
    expect(formatBytes(0, 'en')).toBe('0 B');
    expect(formatBytes(1536, 'en')).toBe('1.5 KiB');
    expect(formatBytes(9.5 * 1024 * 1024, 'pt-BR')).toBe('9,5 MiB');
    expect(formatBytes(3 * 1024 ** 5, 'en')).toBe('3,072 TiB');
  });

  it('show latencies', () => {
    expect(formatSeconds(0.0000425, 'en')).toBe('43 µs');
    expect(formatSeconds(0.0025, 'en')).toBe('2.5 ms');
    expect(formatSeconds(1.25, 'en')).toBe('1.25 s');
  });

  it('show ages by their two largest units', () => {
    expect(formatAge(0)).toBe('0 s');
    expect(formatAge(65)).toBe('1 min 5 s');
    expect(formatAge(3600)).toBe('1 h');
    expect(formatAge(90061)).toBe('1 d 1 h');
    expect(formatAge(86405)).toBe('1 d');
  });

  it('show counts and rates', () => {
    expect(formatCount(12345, 'en')).toBe('12,345');
    expect(formatCount(1_250_000, 'en')).toBe('1.3M');
    expect(formatRate(0.25, 'en')).toBe('0.3');
    expect(formatRate(40_000.4, 'en')).toBe('40,000');
  });

  it('show a dash for what is unknown', () => {
    for (const format of [formatBytes, formatCount, formatRate, formatSeconds]) {
      expect(format(null, 'en')).toBe(NOTHING);
      expect(format(NaN, 'en')).toBe(NOTHING);
    }
    expect(formatAge(null)).toBe(NOTHING);
  });
});

// The language of the page: the visitor's choice, or else the browser's.

import { formatCount } from './format';
import { en, pt, type Word } from './words';

export type Lang = 'en' | 'pt-BR';

const KEPT = 'recado.lang';

export function pickLang(kept: string | null, browser: readonly string[]): Lang {
  if (kept === 'en' || kept === 'pt-BR') return kept;
  const known = browser.find((tag) => /^(en|pt)\b/i.test(tag));
  return known !== undefined && /^pt/i.test(known) ? 'pt-BR' : 'en';
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

let current: Lang = 'en';

export function startLang(): void {
  current = pickLang(localStorage.getItem(KEPT), navigator.languages ?? [navigator.language]);
  document.documentElement.lang = current;
}

export function lang(): Lang {
  return current;
}

export function setLang(next: Lang): void {
  current = next;
  localStorage.setItem(KEPT, next);
  document.documentElement.lang = next;
}

export function t(word: Word, values: Record<string, string | number> = {}): string {
  return fill((current === 'en' ? en : pt)[word], values);
}

// Words that count something: beside the one for many stands the one for one, with _one behind its name.
type Several<W> = W extends `${infer Base}_one` ? Base : never;
export type Counted = Several<Word> & Word;

// The rules for Portuguese put nought beside one; people there write "0 eventos".
export function pluralOf(word: Counted, count: number, locale: string): Word {
  return count !== 0 && new Intl.PluralRules(locale).select(count) === 'one' ? `${word}_one` : word;
}

// The count decides the word and is its {n}; numbers are written as the language does.
export function tn(word: Counted, count: number, values: Record<string, string | number> = {}): string {
  const written = Object.entries({ n: count, ...values }).map(([name, value]) =>
    [name, typeof value === 'number' ? formatCount(value, current) : value] as const);
  return t(pluralOf(word, count, current), Object.fromEntries(written));
}

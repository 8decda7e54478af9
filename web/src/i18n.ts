// The language of the page: the visitor's choice, or else the browser's.

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

// Small parts that several pages show.

import type { Child } from '../dom';
import { h } from '../dom';
import { NOTHING, formatAgo, formatDateTime } from '../format';
import { lang, t } from '../i18n';
import { indentJson } from '../json';
import { en, type Word } from '../words';

// Good, bad, under way, or none of these: said by the word, shown by the colour as well.
const TONES: Record<string, string> = {
  completed: 'good', approved: 'good', success: 'good', active: 'good',
  failed: 'bad', timeout: 'bad', lost: 'bad', denied: 'bad', error: 'bad', rejected: 'bad', urgent: 'bad',
  running: 'busy', executing: 'busy', validating: 'busy', planning: 'busy', in_progress: 'busy',
  warning: 'warn', pending: 'warn', paused: 'warn', expired: 'warn', blocked: 'warn', high: 'warn',
};

// The word of a state; one that this page does not know is shown as it is.
export function stateWord(state: string): string {
  const word = `is_${state}`;
  return word in en ? t(word as Word) : state;
}

export function badge(state: string): HTMLElement {
  return h('span', { class: `state-badge ${TONES[state] ?? ''}`, 'data-state': state }, stateWord(state));
}

export function when(iso: string | null | undefined): Child {
  const ms = Date.parse(iso ?? '');
  if (!iso || !Number.isFinite(ms)) return NOTHING;
  return h('time', { datetime: iso, title: formatDateTime(ms, lang()) }, formatDateTime(ms, lang()));
}

export function ago(iso: string | null | undefined): Child {
  const ms = Date.parse(iso ?? '');
  if (!iso || !Number.isFinite(ms)) return NOTHING;
  return h('time', { datetime: iso, title: formatDateTime(ms, lang()) }, formatAgo((Date.now() - ms) / 1000, lang()));
}

export function facts(pairs: readonly [Word, Child][]): HTMLElement {
  return h('dl', { class: 'strip facts' }, ...pairs.map(([word, value]) =>
    h('div', {}, h('dt', {}, t(word)), h('dd', {}, value === null || value === '' ? NOTHING : value))));
}

export function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === '' || JSON.stringify(value) === '{}';
}

export function jsonBox(label: string, value: unknown): HTMLElement {
  const text = typeof value === 'string' ? value : indentJson(JSON.stringify(value));
  return h('pre', { class: 'json', tabindex: '0', role: 'group', 'aria-label': label }, h('code', {}, text));
}

// Runs a little later, and once for many calls; stop() forgets the last one.
export function debounce(work: () => void, ms: number): { (): void; stop(): void } {
  let timer = 0;
  const call = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(work, ms);
  };
  call.stop = (): void => clearTimeout(timer);
  return call;
}

// Runs at once, and then no more often than every so many ms, however often it is called.
export function throttle(work: () => void, ms: number): { (): void; stop(): void } {
  let timer = 0;
  let last = -Infinity;
  const call = (): void => {
    if (timer !== 0) return;
    timer = window.setTimeout(() => {
      timer = 0;
      last = performance.now();
      work();
    }, Math.max(0, last + ms - performance.now()));
  };
  call.stop = (): void => clearTimeout(timer);
  return call;
}

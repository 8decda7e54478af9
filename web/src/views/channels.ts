// The channels with their subscribers.

import * as api from '../api';
import type { Context, View } from '../context';
import { field, h } from '../dom';
import { matchChannel, toPattern } from '../filter';
import { formatCount } from '../format';
import { lang, t, tn } from '../i18n';
import { Poll } from '../poll';
import { table } from '../table';

const SHOWN_MAX = 500;
const EVERY_MS = 4000;

export function channelRoute(name: string): string {
  return `#/channels/${encodeURIComponent(name)}`;
}

export function channelsView(ctx: Context): View {
  const pattern = h('input', {
    type: 'search', name: 'pattern', autocomplete: 'off', spellcheck: 'false',
    autocapitalize: 'none',
  });
  const place = h('div', {}, h('p', { class: 'empty' }, t('loading')));
  const counter = h('p', { class: 'note', role: 'status' });
  let drawn = '';

  // The server lists channels with subscribers; those seen here may have a history all the same.
  function withSeen(list: [string, number][], text: string): [string, number][] {
    const listed = new Set(list.map(([name]) => name));
    const wanted = toPattern(text) || '*';
    const seen = [...ctx.known].filter((name) => !listed.has(name) && matchChannel(wanted, name));
    return [...list, ...seen.map((name): [string, number] => [name, 0])];
  }

  function draw(list: [string, number][]): void {
    // Redrawing an equal list would take the focus away from a link in it.
    const state = JSON.stringify(list);
    if (state === drawn) return;
    drawn = state;
    const shown = list.sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, SHOWN_MAX);
    for (const [name] of shown.slice(0, 100)) ctx.known.add(name);
    counter.textContent = tn('channelsShown', list.length, { shown: shown.length, total: list.length });
    if (shown.length === 0) {
      place.replaceChildren(h('p', { class: 'empty' }, t('noChannels')));
      return;
    }
    const rows = shown.map(([name, count]) => [
      h('a', { href: channelRoute(name), class: 'channel' }, name),
      formatCount(count, lang()),
    ]);
    const focused = (document.activeElement as HTMLAnchorElement | null)?.hash ?? '';
    place.replaceChildren(table(t('channels'), [
      { title: t('channel') }, { title: t('subscribers'), class: 'number' },
    ], rows));
    if (focused) place.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  const poll = new Poll(async () => {
    try {
      draw(withSeen(await api.channels(toPattern(pattern.value)), pattern.value));
    } catch (error) {
      drawn = '';
      counter.textContent = '';
      place.replaceChildren(h('p', { class: 'error', role: 'alert' }, ctx.failure(error)));
    }
  }, EVERY_MS);

  const form = h('form', { class: 'inline', role: 'search' },
    field(t('channelFilter'), pattern, t('channelFilterHint')),
    h('button', { type: 'submit' }, t('show')));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    poll.now();
  });
  return {
    node: h('section', { class: 'card page narrow' },
      h('header', { class: 'section-head' }, h('h1', { tabindex: '-1' }, t('channels')), counter),
      form, place),
    destroy: () => poll.stop(),
  };
}

// The channels with their subscribers.

import * as api from '../api';
import type { Context, View } from '../context';
import { field, h } from '../dom';
import { matchChannel, toOpen, toPattern } from '../filter';
import { formatCount } from '../format';
import { lang, t, tn } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { table } from '../table';

const SHOWN_MAX = 500;
const EVERY_MS = 4000;

export function channelRoute(name: string): string {
  return `#/channels/${encodeURIComponent(name)}`;
}

function channelLink(name: string, text: string): HTMLElement {
  return h('a', { href: channelRoute(name), class: 'channel', 'data-key': name }, text);
}

export function channelsView(ctx: Context): View {
  const pattern = h('input', {
    type: 'search', name: 'pattern', autocomplete: 'off', spellcheck: 'false',
    autocapitalize: 'none',
  });
  const place = new Place(ctx, () => poll.now());
  const counter = h('p', { class: 'note', role: 'status' });

  // The server lists channels with subscribers; those seen here may have a history all the same.
  function withSeen(list: [string, number][], text: string): [string, number][] {
    const listed = new Set(list.map(([name]) => name));
    const wanted = toPattern(text) || '*';
    const seen = [...ctx.known].filter((name) => !listed.has(name) && matchChannel(wanted, name));
    return [...list, ...seen.map((name): [string, number] => [name, 0])];
  }

  function draw(list: [string, number][]): void {
    const shown = list.sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, SHOWN_MAX);
    for (const [name] of shown.slice(0, 100)) ctx.known.add(name);
    counter.textContent = tn('channelsShown', list.length, { shown: shown.length, total: list.length });
    const text = pattern.value.trim();
    const name = toOpen(text, shown.map(([listed]) => listed));
    place.show(JSON.stringify([shown, text]), () => [
      shown.length === 0
        ? h('p', { class: 'empty' }, t(text ? 'noChannelMatches' : 'noChannels'))
        : table(t('channels'), [{ title: t('channel') }, { title: t('subscribers'), class: 'number' }],
          shown.map(([channel, count]) => [channelLink(channel, channel), formatCount(count, lang())])),
      name ? h('p', {}, channelLink(name, t('openChannel', { channel: name }))) : null,
    ]);
  }

  const poll = new Poll(async () => {
    try {
      draw(withSeen(await api.channels(toPattern(pattern.value)), pattern.value));
    } catch (error) {
      counter.textContent = '';
      place.fail(error);
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
      form, place.node),
    destroy: () => poll.stop(),
  };
}

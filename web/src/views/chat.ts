// The conversations, and beside them the one that is open.

import * as chat from '../conversations';
import type { Context, View } from '../context';
import { h, icon, ICONS } from '../dom';
import { formatAgo } from '../format';
import { lang, t } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { routeTo, type Route } from '../route';
import { conversationPane, type Pane, type Shared } from './conversation';

const PAGE = 50;
const EVERY_MS = 5000;

function preview(last: unknown): string {
  if (typeof last === 'string') return last;
  if (typeof last !== 'object' || last === null) return '';
  const { content } = last as { content?: unknown };
  return typeof content === 'string' ? content : '';
}

export function chatView(ctx: Context, first: Route): View {
  let limit = PAGE;
  let open = '';
  let pane: Pane | null = null;
  ctx.talk ??= { settings: { ...chat.NO_SETTINGS }, drafts: new Map(), begun: null };
  const shared: Shared = Object.assign(ctx.talk, { changed: () => poll.now() });
  const place = new Place(ctx, () => poll.now());
  const more = h('button', { type: 'button', class: 'small', hidden: true }, t('showMore'));
  const start = h('a', { href: routeTo('chat', 'new'), class: 'button primary new' }, icon(ICONS.plus), t('newConversation'));
  const side = h('section', { class: 'card conversations', 'aria-labelledby': 'conversations-title' },
    h('header', { class: 'section-head' }, h('h2', { id: 'conversations-title', tabindex: '-1' }, t('chat')), start),
    place.node, more);
  const node = h('div', { class: 'chat' }, side);

  function entry(one: chat.Conversation): HTMLElement {
    const at = Date.parse(one.updated_at);
    return h('li', {}, h('a', {
      href: routeTo('chat', String(one.id)), 'data-key': String(one.id),
      'aria-current': String(one.id) === open ? 'page' : undefined,
    },
    h('span', { class: 'title' }, one.title || t('conversationN', { id: one.id })),
    h('span', { class: 'last' }, chat.plainLine(preview(one.last_message), 120)),
    h('time', { datetime: one.updated_at, class: 'note' }, formatAgo((Date.now() - at) / 1000, lang()))));
  }

  async function load(): Promise<void> {
    try {
      const { conversations, total } = await chat.listConversations(limit, 0);
      more.hidden = total <= conversations.length;
      // The minute is part of the state, because ages are shown.
      const state = JSON.stringify([open, Math.floor(Date.now() / 60_000), conversations]);
      place.show(state, () => [conversations.length > 0
        ? h('ul', { class: 'entries' }, ...conversations.map(entry))
        : h('div', { class: 'empty' }, h('p', { class: 'lead' }, t('noConversations')), h('p', {}, t('noConversationsHint')))]);
    } catch (error) {
      more.hidden = true;
      place.fail(error);
    }
  }

  // "" is the list alone, which beside a wide list is an empty conversation.
  function show(name: string): void {
    pane?.destroy();
    open = name;
    const id = /^\d{1,15}$/.test(name) ? Number(name) : null;
    pane = conversationPane(ctx, shared, id);
    // Who has just begun to write goes on doing so.
    const writes = name === 'new' || (id !== null && id === shared.begun);
    pane.node.querySelector('[name=message]')?.toggleAttribute('data-focus', writes);
    node.classList.toggle('one', name !== '');
    node.replaceChildren(side, pane.node);
  }

  const poll = new Poll(load, EVERY_MS);
  more.addEventListener('click', () => {
    limit += PAGE;
    poll.now();
  });
  show(first.name);
  return {
    node,
    route: (route) => {
      show(route.name);
      poll.now();
      return true;
    },
    destroy: () => {
      poll.stop();
      pane?.destroy();
    },
  };
}

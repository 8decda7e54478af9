// One channel: who is there and what was said.

import * as api from '../api';
import type { Context, View } from '../context';
import { h } from '../dom';
import { splitChannels } from '../filter';
import { t, tn } from '../i18n';
import { toEvent } from '../live';
import { Poll } from '../poll';
import { eventRow } from './events';

const PAGE = 50;
const EVERY_MS = 4000;

function historyPanel(ctx: Context, name: string): { node: HTMLElement; refresh(): Promise<void> } {
  const list = h('ol', { class: 'events of-one', 'aria-label': t('history') });
  const position = h('p', { class: 'note' });
  const message = h('p', { class: 'empty' }, t('loading'));
  const older = h('button', { type: 'button', hidden: true }, t('older'));
  let newest = '';
  let oldest: { offset: number; epoch: string } | null = null;

  function rows(page: api.History): HTMLElement[] {
    const last = page.publications[page.publications.length - 1];
    oldest = last?.offset ? { offset: last.offset, epoch: page.epoch } : null;
    older.hidden = page.publications.length < PAGE || oldest === null;
    return page.publications.map((pub) => eventRow(toEvent({ channel: name, ...pub }, NaN)));
  }

  async function refresh(): Promise<void> {
    try {
      const page = await api.history(name, PAGE);
      const state = `${page.epoch}:${page.offset}`;
      if (state === newest) return;
      newest = state;
      list.replaceChildren(...rows(page));
      position.textContent = t('position', { offset: page.offset, epoch: page.epoch || '–' });
      message.textContent = page.publications.length === 0 ? t('historyEmpty') : '';
    } catch (error) {
      const off = error instanceof api.ApiError && error.code === api.CODE_NOT_AVAILABLE;
      message.textContent = off ? t('historyOff') : ctx.failure(error);
    }
    message.hidden = message.textContent === '';
  }

  older.addEventListener('click', () => {
    if (!oldest) return;
    api.history(name, PAGE, oldest).then(
      (page) => list.append(...rows(page)),
      (error: unknown) => ctx.announce(ctx.failure(error)),
    );
  });
  const node = h('section', { class: 'card', 'aria-labelledby': 'history-title' },
    h('header', { class: 'section-head' }, h('h2', { id: 'history-title' }, t('history')), position),
    message, list, older);
  return { node, refresh };
}

function presencePanel(ctx: Context, name: string): { node: HTMLElement; refresh(): Promise<void> } {
  const list = h('ul', { class: 'people', 'aria-label': t('presence') });
  const stats = h('p', { class: 'note' });
  const message = h('p', { class: 'empty' }, t('loading'));

  async function refresh(): Promise<void> {
    try {
      const [{ clients, users }, people] = await Promise.all([
        api.presenceStats(name), api.presence(name),
      ]);
      stats.textContent = `${tn('clientsCount', clients)}, ${tn('usersCount', users)}`;
      list.replaceChildren(...people.slice(0, 200).map(({ user, client }) => h('li', {},
        h('span', { class: 'user' }, user || t('anonymous')), h('code', { title: client }, client.slice(0, 8)))));
      message.textContent = people.length === 0 ? t('presenceEmpty') : '';
    } catch (error) {
      const off = error instanceof api.ApiError && error.code === api.CODE_NOT_AVAILABLE;
      message.textContent = off ? t('presenceOff') : ctx.failure(error);
    }
    message.hidden = message.textContent === '';
  }

  const node = h('section', { class: 'card', 'aria-labelledby': 'presence-title' },
    h('header', { class: 'section-head' }, h('h2', { id: 'presence-title' }, t('presence')), stats),
    message, list);
  return { node, refresh };
}

export function channelView(ctx: Context, name: string): View {
  const history = historyPanel(ctx, name);
  const presence = presencePanel(ctx, name);
  const follow = h('button', { type: 'button' }, t('followThis'));
  const publish = h('button', { type: 'button', class: 'primary' }, t('publishHere'));
  follow.addEventListener('click', () => {
    ctx.follow = name;
    ctx.live.follow(splitChannels(name));
    ctx.go('#/');
  });
  publish.addEventListener('click', () => {
    ctx.draft.channel = name;
    ctx.go('#/publish');
  });
  const poll = new Poll(async () => {
    await Promise.all([history.refresh(), presence.refresh()]);
  }, EVERY_MS);
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' },
        h('a', { href: '#/channels', class: 'back' }, `← ${t('back')}`),
        h('h1', { tabindex: '-1', class: 'channel' }, name),
        h('div', { class: 'buttons' }, follow, publish)),
      h('div', { class: 'columns' }, history.node, presence.node)),
    destroy: () => poll.stop(),
  };
}

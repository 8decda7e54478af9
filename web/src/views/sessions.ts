// Who is connected, and a way to end a session.

import * as api from '../api';
import type { Context, View } from '../context';
import { ask } from '../dialog';
import { h } from '../dom';
import { NOTHING, formatAge, formatCount } from '../format';
import { lang, t, tn } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { table } from '../table';

const LIMIT = 200;
const EVERY_MS = 4000;

export function matchSession(text: string, session: api.Session): boolean {
  const { user, client, dialect, tenant, address = '' } = session;
  const wanted = text.trim().toLowerCase();
  return [user, client, dialect, tenant, address].some((v) => v.toLowerCase().includes(wanted));
}

function who(session: api.Session): string {
  return `${session.user || t('anonymous')} (${session.client.slice(0, 8)})`;
}

export function sessionsView(ctx: Context): View {
  const filter = h('input', {
    type: 'search', name: 'session-filter', placeholder: t('filterSessions'),
    'aria-label': t('sessionFilter'), title: t('sessionFilter'), autocomplete: 'off', spellcheck: 'false',
  });
  const counter = h('p', { class: 'note' });
  const outcome = h('p', { class: 'outcome', role: 'status' });
  const place = new Place(ctx, () => poll.now());
  let all: api.Session[] = [];
  let total = 0;

  async function end(session: api.Session): Promise<void> {
    if (!(await ask(t('disconnectAsk', { who: who(session) }), t('disconnect')))) return;
    try {
      await api.disconnect(session);
      outcome.textContent = t('disconnected', { who: who(session) });
      outcome.className = 'outcome done';
    } catch (error) {
      outcome.textContent = ctx.failure(error);
      outcome.className = 'outcome error';
    }
    poll.now();
  }

  function row(session: api.Session): (Node | string)[] {
    const button = h('button', {
      type: 'button', class: 'small', 'data-key': session.client,
      'aria-label': t('disconnectWho', { who: who(session) }),
    }, t('disconnect'));
    button.addEventListener('click', () => void end(session));
    const name = h('span', {}, session.user || h('span', { class: 'faint' }, t('anonymous')),
      session.client === ctx.live.clientId ? h('span', { class: 'tag' }, t('thisPage')) : null);
    return [
      name, h('code', { title: session.client }, session.client.slice(0, 8)), session.dialect, session.tenant,
      formatCount(session.channels, lang()), h('span', { class: 'address' }, session.address ?? NOTHING),
      formatAge(session.connected_ms / 1000), button,
    ];
  }

  function draw(): void {
    const shown = all.filter((session) => matchSession(filter.value, session));
    counter.textContent = tn('sessionsShown', total, { shown: shown.length, total });
    place.show(JSON.stringify(shown), () => [shown.length === 0
      ? h('p', { class: 'empty' }, t(all.length > 0 ? 'noSessionMatches' : 'noSessionsYet'))
      : table(t('sessions'), [
        { title: t('user') }, { title: t('client') }, { title: t('dialect') }, { title: t('tenant') },
        { title: t('channels'), class: 'number' }, { title: t('address') }, { title: t('connectedFor') },
        { title: t('actions'), class: 'actions' },
      ], shown.map(row))]);
  }

  filter.addEventListener('input', draw);
  const poll = new Poll(async () => {
    try {
      ({ sessions: all, total } = await api.sessions(LIMIT));
      draw();
    } catch (error) {
      counter.textContent = '';
      place.fail(error);
    }
  }, EVERY_MS);
  return {
    node: h('section', { class: 'card page' },
      h('header', { class: 'section-head' }, h('h1', { tabindex: '-1' }, t('sessions')), counter),
      h('div', { class: 'inline' }, filter), outcome, place.node),
    destroy: () => poll.stop(),
  };
}

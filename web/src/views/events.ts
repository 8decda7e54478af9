// The live view: what to follow, what to show of it, and the events, newest first.

import { commandBox } from '../copy';
import { curlCommand, recadoCommand } from '../commands';
import { SAMPLE, type Context, type View } from '../context';
import { readAccess } from '../access';
import * as api from '../api';
import { field, h, icon, ICONS, uid } from '../dom';
import { splitChannels, type LiveEvent } from '../filter';
import { formatClock } from '../format';
import { lang, t, tn } from '../i18n';
import { indentJson } from '../json';

const ANNOUNCE_EVERY_MS = 4000;

// What an event looks like opened: everything that is known about it.
function details(event: LiveEvent): HTMLElement {
  const facts = h('p', { class: 'facts' });
  if (event.offset !== null) facts.append(`${t('offset')} ${event.offset}`);
  for (const [name, value] of Object.entries(event.tags)) {
    facts.append(h('span', { class: 'tag' }, `${name}=${value}`));
  }
  return h(
    'div', { class: 'event-details' }, facts,
    h('pre', { tabindex: '0', 'aria-label': t('data') }, h('code', {}, indentJson(event.data))),
  );
}

export function eventRow(event: LiveEvent): HTMLElement {
  const id = uid('event');
  const button = h(
    'button', { type: 'button', class: 'event-line', 'aria-expanded': 'false', 'aria-controls': id },
    Number.isFinite(event.atMs)
      ? h('time', { datetime: new Date(event.atMs).toISOString() }, formatClock(event.atMs, lang()))
      : h('span', { class: 'offset' }, event.offset === null ? '' : `#${event.offset}`),
    h('span', { class: 'channel' }, event.channel),
    h('span', { class: 'type' }, event.type),
    h('span', { class: 'data' }, event.data.slice(0, 300)),
  );
  const row = h('li', { class: 'event', 'data-channel': event.channel }, button);
  button.addEventListener('click', () => {
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) {
      row.querySelector('.event-details')?.remove();
    } else {
      const box = details(event);
      box.id = id;
      row.append(box);
    }
  });
  return row;
}

// Nobody published yet: the two commands that change that, and a button for the impatient.
function teacher(ctx: Context): HTMLElement {
  const fields = { ...SAMPLE, tenant: readAccess().tenant } as Context['draft'];
  const withKey = readAccess().apiKey !== '';
  const curl = commandBox('curl', ctx.announce);
  const recado = commandBox('recado publish', ctx.announce);
  curl.set(curlCommand(location.origin, fields, withKey));
  recado.set(recadoCommand(location.origin, fields, withKey));
  const send = h('button', { type: 'button', class: 'primary' }, t('sendTest'));
  const problem = h('p', { class: 'error', role: 'alert' });
  send.addEventListener('click', () => {
    api.publish(fields, fields.data).then(
      () => { problem.textContent = ''; },
      (error: unknown) => { problem.textContent = ctx.failure(error); },
    );
  });
  return h(
    'div', { class: 'empty' },
    h('p', { class: 'lead' }, t('listening')), h('p', {}, t('teach')),
    curl.node, h('p', { class: 'or' }, t('teachOr')), recado.node,
    h('p', {}, send), problem,
  );
}

function toolbar(ctx: Context, changed: () => void): HTMLElement {
  const follow = h('input', {
    type: 'text', value: ctx.follow, autocomplete: 'off', spellcheck: 'false',
    list: 'known-channels', autocapitalize: 'none', name: 'follow', title: t('followHint'),
  });
  const form = h('form', { class: 'follow', 'aria-label': t('followApply') },
    field(t('follow'), follow, t('followHint')), h('button', { type: 'submit' }, t('apply')));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    ctx.follow = follow.value.trim() || '*';
    follow.value = ctx.follow;
    ctx.live.follow(splitChannels(ctx.follow));
  });
  const filter = (name: 'channel' | 'type' | 'text', label: string): HTMLElement => {
    const input = h('input', {
      type: 'search', placeholder: label, 'aria-label': label, value: ctx.log.filter[name],
      autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', name: `filter-${name}`,
    });
    input.addEventListener('input', () => {
      ctx.log.filter[name] = input.value;
      changed();
    });
    return input;
  };
  return h('div', { class: 'toolbar' }, form, h(
    'div', { class: 'filters', role: 'search' },
    filter('channel', t('filterChannel')), filter('type', t('filterType')),
    filter('text', t('filterText')),
  ));
}

export function eventsView(ctx: Context): View {
  const list = h('ol', { class: 'events', 'aria-label': t('liveEvents') });
  const rows = new Map<number, HTMLElement>();
  const empty = teacher(ctx);
  const noMatch = h('p', { class: 'empty' }, t('noMatch'));
  const counter = h('p', { class: 'note', 'data-figure': 'events' });
  const refusals = h('p', { class: 'error', role: 'status' });
  const pause = h('button', { type: 'button', class: 'pause', 'aria-pressed': 'false' });
  const clearAll = h('button', { type: 'button' }, t('clear'));
  let announcedAtMs = -ANNOUNCE_EVERY_MS;
  let announceTimer = 0;
  let announcedCount = ctx.log.totalCount;

  function drawPause(): void {
    const { paused, waitingCount } = ctx.log;
    const word = !paused ? t('pause') : waitingCount > 0
      ? tn('resumeCount', waitingCount) : t('resume');
    if (pause.dataset['word'] === word) return;
    pause.dataset['word'] = word;
    pause.setAttribute('aria-pressed', String(paused));
    pause.replaceChildren(icon(paused ? ICONS.play : ICONS.pause), word);
  }

  // Rows that stay are moved, not rebuilt, so that an opened one stays open and keeps the focus.
  function drawRows(shown: readonly LiveEvent[]): void {
    const wanted = new Set(shown.map((event) => event.key));
    for (const [key, row] of rows) {
      if (wanted.has(key)) continue;
      row.remove();
      rows.delete(key);
    }
    let place = list.firstChild;
    for (const event of shown) {
      let row = rows.get(event.key);
      if (!row) {
        row = eventRow(event);
        rows.set(event.key, row);
      }
      if (row === place) place = place.nextSibling;
      else list.insertBefore(row, place);
    }
  }

  // A flood is summed up every few seconds, so that a screen reader can follow.
  function announce(): void {
    const { totalCount } = ctx.log;
    const fresh = totalCount - announcedCount;
    const now = performance.now();
    if (fresh <= 0 || ctx.log.paused || announceTimer !== 0) return;
    const waitMs = announcedAtMs + ANNOUNCE_EVERY_MS - now;
    if (waitMs > 0) {
      announceTimer = window.setTimeout(() => {
        announceTimer = 0;
        announce();
      }, waitMs);
      return;
    }
    const channel = ctx.log.shown()[0]?.channel ?? '';
    ctx.announce(tn('eventsNew', fresh, { channel }));
    announcedAtMs = now;
    announcedCount = totalCount;
  }

  function draw(): void {
    const shown = ctx.log.shown();
    drawRows(shown);
    drawPause();
    const any = ctx.log.keptCount > 0;
    empty.hidden = any;
    noMatch.hidden = !any || shown.length > 0;
    list.hidden = shown.length === 0;
    clearAll.disabled = !any;
    counter.textContent = any
      ? tn('eventsShown', ctx.log.totalCount, { shown: shown.length, total: ctx.log.totalCount }) : '';
    announce();
  }

  function drawState(): void {
    const lines = [...ctx.live.refusals].map(([name, why]) => `${name}: ${why}`);
    if (ctx.live.state === 'refused') lines.push(`${t('stateRefused')}: ${ctx.live.reason}`);
    list.dataset['following'] = [...ctx.live.following].sort().join(' ');
    refusals.textContent = lines.join(' · ');
    refusals.hidden = lines.length === 0;
  }

  pause.addEventListener('click', () => {
    ctx.log.pause(!ctx.log.paused);
    ctx.announce(ctx.log.paused ? t('paused') : t('liveEvents'));
    draw();
  });
  clearAll.addEventListener('click', () => {
    ctx.log.clear();
    announcedCount = 0;
    draw();
  });
  const node = h(
    'section', { class: 'card live', 'aria-labelledby': 'live-title' },
    h('header', { class: 'section-head' }, h('h2', { id: 'live-title' }, t('liveEvents')), counter,
      h('div', { class: 'buttons' }, pause, clearAll)),
    toolbar(ctx, draw), refusals, empty, noMatch, list,
  );
  draw();
  drawState();
  return { node, events: draw, state: drawState, destroy: () => clearTimeout(announceTimer) };
}

// The figures of the overview: four charts, the loops and a strip of counts.

import { Chart } from '../chart';
import type { Context, View } from '../context';
import { h, clear } from '../dom';
import type { Value } from '../figures';
import {
  NOTHING, formatAge, formatBytes, formatCount, formatPercent, formatRate, formatSeconds,
} from '../format';
import { lang, t, tn } from '../i18n';
import type { Word } from '../words';

interface Card {
  node: HTMLElement;
  value: HTMLElement;
  note: HTMLElement;
  chart: Chart;
}

const count = (v: Value): string => formatCount(v, lang());
const perSecond = (v: Value): string => formatRate(v, lang());
const bytes = (v: Value): string => formatBytes(v, lang());
const bytesPerSecond = (v: Value): string =>
  v === null ? NOTHING : t('perSecond', { n: bytes(v) });
// The number is counted as it is shown: 0.96 is "1".
const publishesRate = (v: Value): string => tn('publishesRate', Math.round((v ?? 0) * 10) / 10, { n: perSecond(v) });
const seconds = (v: Value): string => formatSeconds(v, lang());

function card(word: Word, name: string, chart: Chart): Card {
  const value = h('p', { class: 'value', 'data-figure': name }, NOTHING);
  const note = h('p', { class: 'note' });
  const node = h(
    'article', { class: 'card figure' },
    h('header', {}, h('h3', {}, t(word)), value), note, chart.node,
  );
  return { node, value, note, chart };
}

function pair(key: string, name: string, value: string): HTMLElement {
  return h('span', { class: 'pair' }, h('span', { class: key }, name), ` ${value}`);
}

// The last value that was measured: latency has none in a quiet moment.
function lastKnown(values: Value[]): Value {
  for (let i = values.length - 1; i >= 0; i -= 1) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

export function figuresView(ctx: Context): View {
  const sessions = card('cardSessions', 'sessions',
    new Chart(t('cardSessions'), [{ color: '--accent', fill: true }], count));
  const deliveries = card('cardDeliveries', 'deliveries',
    new Chart(t('cardDeliveries'), [{ color: '--accent', fill: true }], perSecond));
  const latency = card('cardLatency', 'latency',
    new Chart(t('cardLatency'), [{ color: '--accent' }, { color: '--second' }], seconds));
  const memory = card('cardMemory', 'memory',
    new Chart(t('cardMemory'), [{ color: '--accent', fill: true }], bytes));
  const cards = [sessions, deliveries, latency, memory];

  const strip = h('dl', { class: 'strip' });
  const stats = new Map<Word, HTMLElement>();
  for (const word of ['statChannels', 'statSubscriptions', 'statConnections', 'statIn', 'statOut',
    'statQueue', 'statUptime', 'statVersion', 'statCloses'] as const) {
    const value = h('dd', {}, NOTHING);
    stats.set(word, value);
    strip.append(h('div', { class: word === 'statCloses' ? 'wide' : '' }, h('dt', {}, t(word)), value));
  }
  const loops = h('div', { class: 'loops', role: 'group', 'aria-label': t('cardLoops') });
  const node = h(
    'section', { class: 'figures', 'aria-labelledby': 'figures-title' },
    h('h2', { class: 'offscreen', id: 'figures-title' }, t('figures')),
    h('div', { class: 'cards' }, ...cards.map((c) => c.node)),
    h('div', { class: 'card stats' }, strip, loops),
  );

  function setStat(word: Word, text: string): void {
    const place = stats.get(word);
    if (place && place.textContent !== text) place.textContent = text;
  }

  function drawLoops(list: readonly [string, Value][]): void {
    if (loops.childElementCount !== list.length) {
      clear(loops);
      for (const [loop] of list) {
        const bar = h('span', { class: 'bar' });
        loops.append(h(
          'div', {
            class: 'loop', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100,
            'aria-label': t('loopBusy', { loop }),
          },
          h('span', { class: 'name' }, `loop ${loop}`), h('span', { class: 'track' }, bar),
          h('span', { class: 'share' }),
        ));
      }
    }
    list.forEach(([, share], i) => {
      const row = loops.children[i];
      const bar = row?.querySelector<HTMLElement>('.bar');
      const text = row?.querySelector('.share');
      if (!row || !bar || !text) return;
      row.setAttribute('aria-valuenow', String(Math.round((share ?? 0) * 100)));
      bar.style.width = `${Math.round((share ?? 0) * 100)}%`;
      text.textContent = formatPercent(share, lang());
    });
  }

  function drawStats(): void {
    const now = ctx.figures.snapshot;
    const point = ctx.figures.latest();
    if (!now || !point) return;
    setStat('statChannels', count(now.channels));
    setStat('statSubscriptions', count(now.subscriptions));
    setStat('statConnections', count(now.connections));
    setStat('statIn', bytesPerSecond(point.bytesIn));
    setStat('statOut', bytesPerSecond(point.bytesOut));
    setStat('statQueue', bytes(now.queueBytes));
    setStat('statUptime', formatAge(now.uptimeSeconds));
    setStat('statVersion', now.version ?? NOTHING);
    const closes = now.closes.slice(0, 4).map(([reason, n]) =>
      `${reason.toLowerCase().replace(/_/g, ' ')} ${count(n)}`);
    setStat('statCloses', closes.join(' · ') || t('none'));
    const dialects = now.dialects.map(([dialect, n]) => `${dialect} ${count(n)}`);
    sessions.note.textContent = dialects.join(' · ') || t('noSessions');
    drawLoops(now.loops);
  }

  function draw(): void {
    const points = ctx.figures.points;
    const times = points.map((p) => p.atMs / 1000);
    const p50 = points.map((p) => p.p50);
    const p99 = points.map((p) => p.p99);
    const point = ctx.figures.latest();
    sessions.chart.set(times, [points.map((p) => p.sessions)]);
    deliveries.chart.set(times, [points.map((p) => p.deliveries)]);
    latency.chart.set(times, [p50, p99]);
    memory.chart.set(times, [points.map((p) => p.memory)]);
    sessions.value.textContent = count(point?.sessions ?? null);
    deliveries.value.textContent = perSecond(point?.deliveries ?? null);
    deliveries.note.textContent = publishesRate(point?.publishes ?? null);
    latency.value.textContent = seconds(lastKnown(p50));
    latency.note.replaceChildren(
      pair('key first', t('p50'), seconds(lastKnown(p50))), ' ',
      pair('key second', t('p99'), seconds(lastKnown(p99))),
    );
    memory.value.textContent = bytes(point?.memory ?? null);
    memory.note.textContent = '';
    drawStats();
  }

  draw();
  return {
    node,
    figures: draw,
    theme: () => cards.forEach((c) => c.chart.redraw()),
    destroy: () => cards.forEach((c) => c.chart.destroy()),
  };
}

// The machine: processor, memory, disk and network over the last hour or day, and as they are now.

import { ApiError } from '../api';
import type { Context, View } from '../context';
import { h } from '../dom';
import { NOTHING, formatBytes, formatDateTime, formatPercent } from '../format';
import { lang, t, tn } from '../i18n';
import { Place } from '../place';
import { Plot, type Series } from '../plot';
import { Poll } from '../poll';
import * as samples from '../samples';
import type { Word } from '../words';

const EVERY_MS = 60_000;
const NOT_YET = 503;
const CHART_PX = 170;

const percent = (v: number | null): string => formatPercent(v === null ? null : v / 100, lang());
const perSecond = (v: number | null): string => (v === null ? NOTHING : t('perSecond', { n: formatBytes(v, lang()) }));

interface Panel {
  node: HTMLElement;
  plot: Plot;
  pick: readonly samples.Column[];
  format: (v: number | null) => string;
  title: string;
}

function panel(word: Word, series: readonly Series[], pick: readonly samples.Column[], isPercent: boolean): Panel {
  const format = isPercent ? percent : perSecond;
  const hour = (x: number, step: number): string => new Intl.DateTimeFormat(lang(), {
    hour: '2-digit', minute: '2-digit', ...(step < 60 ? { second: '2-digit' } : {}), hourCycle: 'h23',
  }).format(x * 1000);
  const plot = new Plot({
    label: t('chartEmpty', { title: t(word) }), height: CHART_PX, series, formatY: format, formatAxis: hour,
    formatX: (x) => formatDateTime(x * 1000, lang()), ...(isPercent ? { max: 100 } : { binary: true }),
  });
  const node = h('section', { class: 'card chart-card', 'aria-label': t(word) }, h('h2', {}, t(word)), plot.node);
  return { node, plot, pick, format, title: t(word) };
}

function wordsOf(one: Panel, ys: readonly (readonly (number | null)[])[]): string {
  const known = (ys[0] ?? []).filter((v): v is number => v !== null);
  const now = known[known.length - 1];
  if (now === undefined) return t('chartEmpty', { title: one.title });
  return t('plotLabel', {
    title: one.title, now: one.format(now), min: one.format(Math.min(...known)), max: one.format(Math.max(...known)),
  });
}

// The first reading comes some seconds after the start.
function unread(error: unknown): null {
  if (error instanceof ApiError && error.status === NOT_YET) return null;
  throw error;
}

export function monitorView(ctx: Context): View {
  let range: samples.Range = '1h';
  let list: samples.Sample[] = [];
  let stepMs = 10_000;
  const cpu = panel('cpu', [{ title: t('cpu'), color: '--accent', fill: true }], [(s) => s.cpu], true);
  const memory = panel('memory', [{ title: t('memory'), color: '--accent', fill: true }], [(s) => s.memory], true);
  const disk = panel('disk', [{ title: t('disk'), color: '--accent', fill: true }], [(s) => s.disk], true);
  const network = panel('network', [{ title: t('received'), color: '--accent' }, { title: t('sentOut'), color: '--second' }],
    [(s) => s.rx, (s) => s.tx], false);
  const gpu = panel('gpu', [{ title: t('gpu'), color: '--accent', fill: true }], [(s) => s.gpu], true);
  const panels = [cpu, memory, disk, network, gpu];
  const place = new Place(ctx, () => poll.now());
  const grid = h('div', { class: 'plots' }, ...panels.map((one) => one.node));
  const strip = h('dl', { class: 'strip' });
  const values = new Map<Word, HTMLElement>();
  for (const word of ['cpu', 'memory', 'disk', 'received', 'sentOut', 'temperatureNow'] as const) {
    const value = h('dd', { 'data-figure': word }, NOTHING);
    values.set(word, value);
    strip.append(h('div', {}, h('dt', {}, t(word)), value));
  }

  function drawNow(now: samples.Now): void {
    const set = (word: Word, text: string, more = ''): void => {
      values.get(word)?.replaceChildren(text, ...(more ? [' ', h('span', { class: 'note' }, more)] : []));
    };
    const share = (word: Word, part?: { total?: number; used?: number; usagePercent?: number }): void =>
      set(word, percent(part?.usagePercent ?? null),
        `${formatBytes(part?.used ?? null, lang())} / ${formatBytes(part?.total ?? null, lang())}`);
    const cores = now.cpu?.cores === undefined ? '' : tn('cores', now.cpu.cores);
    set('cpu', percent(now.cpu?.usage ?? null), cores);
    share('memory', now.memory);
    share('disk', now.disk);
    set('received', perSecond(now.network?.rx ?? null));
    set('sentOut', perSecond(now.network?.tx ?? null));
    set('temperatureNow', now.cpu?.temperature == null ? NOTHING : `${Math.round(now.cpu.temperature)} °C`);
  }

  function draw(): void {
    gpu.node.hidden = list.every((sample) => sample.gpu === null);
    for (const one of panels) {
      const { xs, ys } = samples.columns(list, stepMs, one.pick);
      one.plot.set(xs, ys, wordsOf(one, ys));
    }
    grid.dataset['points'] = String(list.length);
  }

  const poll = new Poll(async () => {
    try {
      const asked = range;
      const [kept, now] = await Promise.all([
        samples.readHistory(asked), samples.readNow().catch(unread),
      ]);
      if (asked !== range) return;
      list = kept.samples;
      stepMs = Math.max(kept.step_ms, kept.interval_ms);
      if (now) drawNow(now);
      draw();
      place.show('ready', () => (list.length > 0 ? [] : [h('p', { class: 'empty' }, t('noSamples'))]));
    } catch (error) {
      place.fail(error);
    }
  }, EVERY_MS);
  const unwatch = ctx.live.watch('monitor', {
    event: (_, data) => {
      if (typeof data !== 'object' || data === null) return;
      const now = data as samples.Now;
      drawNow(now);
      list = samples.addSample(list, samples.toSample(now, Date.now()), stepMs, samples.STEPS[range].spanMs);
      place.show('ready live', () => []);
      draw();
    },
    subscribed: () => poll.now(),
  });
  const choices = (['1h', '24h'] as const).map((one) => {
    const button = h('button', { type: 'button', 'aria-pressed': String(one === range) }, t(one === '1h' ? 'lastHour' : 'lastDay'));
    button.addEventListener('click', () => {
      range = one;
      for (const other of choices) other.setAttribute('aria-pressed', String(other === button));
      poll.now();
    });
    return button;
  });
  gpu.node.hidden = true;
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('monitor')),
        h('div', { class: 'buttons toggle', role: 'group', 'aria-label': t('timeRange') }, ...choices)),
      h('div', { class: 'card stats' }, strip), place.node, grid),
    theme: () => panels.forEach((one) => one.plot.redraw()),
    destroy: () => {
      poll.stop();
      unwatch();
      for (const one of panels) one.plot.destroy();
    },
  };
}

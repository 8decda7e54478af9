// Executions: filters, figures, a chart of the last thirty days and a table that follows what happens.

import type { Context, View } from '../context';
import { commandBox } from '../copy';
import { readAccess } from '../access';
import { field, h, select } from '../dom';
import { NOTHING, formatCount, formatDay, formatDuration, formatPercent } from '../format';
import { lang, t, tn } from '../i18n';
import { reads } from '../live';
import { Place } from '../place';
import { Plot } from '../plot';
import { Poll } from '../poll';
import { keepRoute, routeTo, type Route } from '../route';
import * as runs from '../runs';
import { table } from '../table';
import type { Word } from '../words';
import { runView } from './run';
import { ago, badge, debounce, stateWord, throttle } from './parts';

const PAGE = 50;
const EVERY_MS = 15_000; // besides what the channel says
const LIVE_EVERY_MS = 700;
const TYPED_MS = 300;
const CHART_PX = 150;

type CardName = 'successRate' | 'averageDuration' | 'totalRuns' | 'runningNow';

function cards(): { node: HTMLElement; draw(stats: runs.Stats): void } {
  const values = new Map<Word, HTMLElement>();
  const notes = new Map<Word, HTMLElement>();
  const node = h('div', { class: 'cards figures-row' });
  for (const word of ['successRate', 'averageDuration', 'totalRuns', 'runningNow'] as CardName[]) {
    const value = h('p', { class: 'value', 'data-figure': word }, NOTHING);
    const note = h('p', { class: 'note' });
    values.set(word, value);
    notes.set(word, note);
    node.append(h('article', { class: 'card figure' }, h('header', {}, h('h3', {}, t(word)), value), note));
  }
  return {
    node,
    draw(stats) {
      const set = (word: CardName, text: string, note = ''): void => {
        const value = values.get(word);
        const place = notes.get(word);
        if (value) value.textContent = text;
        if (place) place.textContent = note;
      };
      set('successRate', formatPercent(stats.success_rate, lang()),
        `${tn('completedCount', stats.completed)}, ${t('failedCount', { n: formatCount(stats.failed, lang()) })}`);
      set('averageDuration', formatDuration(stats.average_duration_ms, lang()));
      set('totalRuns', formatCount(stats.total, lang()));
      set('runningNow', formatCount(stats.running, lang()));
    },
  };
}

function chart(): { node: HTMLElement; draw(days: readonly runs.Day[]): void; redraw(): void; destroy(): void } {
  let days: readonly runs.Day[] = [];
  const plot = new Plot({
    label: t('runsPerDay'), height: CHART_PX, bars: true,
    series: [{ title: t('otherRuns'), color: '--control' }, { title: t('is_completed'), color: '--accent' },
      { title: t('is_failed'), color: '--bad' }],
    formatX: (x) => formatDay(days[x]?.date ?? '', lang()),
    formatY: (value) => formatCount(value, lang()),
  });
  const asTable = h('div', { class: 'table-scroll' });
  const box = h('details', { class: 'as-table' }, h('summary', {}, t('asTable')), asTable);
  const fill = (): void => {
    if (!box.open) return;
    asTable.replaceChildren(table(t('runsPerDay'), [
      { title: t('day') }, { title: t('totalRuns'), class: 'number' }, { title: t('is_completed'), class: 'number' },
      { title: t('is_failed'), class: 'number' },
    ], [...days].reverse().map((day) => [formatDay(day.date, lang()), day.total, day.completed, day.failed])));
  };
  box.addEventListener('toggle', fill);
  return {
    node: h('section', { class: 'card chart-card', 'aria-labelledby': 'per-day-title' },
      h('header', { class: 'section-head' }, h('h2', { id: 'per-day-title' }, t('runsPerDay'))), plot.node, box),
    draw(fresh) {
      days = fresh;
      // Drawn over each other, the shorter bars in front: together they are one column of parts.
      plot.set(days.map((_, i) => i),
        [days.map((d) => d.total), days.map((d) => d.completed + d.failed), days.map((d) => d.failed)],
        t('runsPerDayWords', {
          total: days.reduce((sum, d) => sum + d.total, 0), failed: days.reduce((sum, d) => sum + d.failed, 0),
        }),
        [days.map((d) => d.total - d.completed - d.failed), days.map((d) => d.completed), days.map((d) => d.failed)]);
      fill();
    },
    redraw: () => plot.redraw(),
    destroy: () => plot.destroy(),
  };
}

function teacher(ctx: Context): HTMLElement {
  const box = commandBox('curl', ctx.announce);
  const key = readAccess().apiKey ? ' \\\n  -H "X-API-Key: $RECADO_API_KEY"' : '';
  box.set(`curl ${location.origin}/api/runs${key} \\\n  -H 'Content-Type: application/json' \\\n`
    + `  -d '{"kind": "agent", "name": "first", "agent_id": "ana", "status": "running"}'`);
  return h('div', { class: 'empty' }, h('p', { class: 'lead' }, t('noRuns')), h('p', {}, t('noRunsHint')), box.node);
}

function row(run: runs.Run): (Node | string)[] {
  const who = run.agent_name || run.agent_id || '';
  return [
    h('span', {}, h('a', { href: routeTo('runs', run.id), 'data-key': run.id }, run.name || who || run.id),
      run.attempt > 1 ? h('span', { class: 'tag' }, t('attemptN', { n: run.attempt })) : null),
    who || NOTHING, badge(run.status), stateWord(run.kind), run.method ? stateWord(run.method) : NOTHING,
    h('span', {}, ago(run.started_at ?? run.created_at)),
    formatDuration(run.duration_ms, lang()),
  ];
}

export function runsView(ctx: Context, route: Route): View {
  if (route.name !== '') return runView(ctx, route.name);
  let { filters, page } = runs.readFilters(route.query);
  let total = 0;
  let asked = 0;
  const figures = cards();
  const perDay = chart();
  const place = new Place(ctx, () => poll.now());
  const counter = h('p', { class: 'note', role: 'status' });
  const before = h('button', { type: 'button' }, t('newer'));
  const after = h('button', { type: 'button' }, t('olderOnes'));
  const pager = h('div', { class: 'buttons pager' }, before, after);
  const agents = h('datalist', { id: 'known-agents' });

  function input(name: keyof runs.Filters, more: Record<string, unknown>): HTMLInputElement {
    return h('input', { name, value: filters[name], autocomplete: 'off', spellcheck: 'false', ...more });
  }
  const choice = (name: 'status' | 'method' | 'kind', values: readonly string[]): HTMLElement =>
    select(name, [['', t('any')], ...values.map((v) => [v, stateWord(v)] as const)], filters[name]);
  const clear = h('button', { type: 'button', disabled: !runs.isFiltered(filters) }, t('clearFilters'));
  const form = h('form', { class: 'filter-form', role: 'search', 'aria-label': t('filters') },
    field(t('from'), input('from', { type: 'date' })), field(t('to'), input('to', { type: 'date' })),
    field(t('agent'), input('agent', { type: 'search', list: 'known-agents', autocapitalize: 'none' })),
    field(t('status'), choice('status', runs.STATUSES)), field(t('method'), choice('method', runs.METHODS)),
    field(t('kind'), choice('kind', runs.KINDS)), field(t('text'), input('q', { type: 'search' })), clear, agents);

  function draw(list: runs.RunPage): void {
    total = list.total;
    const first = (page - 1) * PAGE;
    counter.textContent = total === 0 ? '' : t('rangeOf', {
      first: first + 1, last: Math.min(first + PAGE, first + list.runs.length), total: formatCount(total, lang()),
    });
    before.disabled = page <= 1;
    after.disabled = first + PAGE >= total;
    pager.hidden = total <= PAGE && page === 1;
    figures.draw(list.stats);
    clear.disabled = !runs.isFiltered(filters);
    place.show(JSON.stringify([list.runs, Math.floor(Date.now() / 60_000)]), () => {
      if (list.runs.length > 0) {
        return [table(t('runs'), [
          { title: t('name') }, { title: t('agent') }, { title: t('status') }, { title: t('kind') },
          { title: t('method') }, { title: t('started') }, { title: t('duration'), class: 'number' },
        ], list.runs.map(row))];
      }
      return [runs.isFiltered(filters) || page > 1
        ? h('p', { class: 'empty' }, t('noRunMatches')) : teacher(ctx)];
    });
  }

  async function load(): Promise<void> {
    asked += 1;
    const turn = asked;
    try {
      const [list, stats] = await Promise.all([
        runs.listRuns(filters, PAGE, (page - 1) * PAGE), runs.readStats(filters),
      ]);
      if (turn !== asked) return; // the filters have changed meanwhile
      draw(list);
      perDay.draw(stats.per_day);
      const known = stats.agents.map((a) => h('option', { value: a.agent_id }, a.agent_name ?? ''));
      if (known.length !== agents.childElementCount) agents.replaceChildren(...known);
    } catch (error) {
      if (turn !== asked) return;
      counter.textContent = '';
      pager.hidden = true;
      place.fail(error);
    }
  }

  const poll = new Poll(load, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch('runs', reads(soon));

  function apply(): void {
    keepRoute(routeTo('runs', '', { ...filters, page: page > 1 ? String(page) : '' }));
    poll.now();
  }
  const typed = debounce(() => {
    const given = new FormData(form);
    for (const name of runs.FILTERS) filters[name] = String(given.get(name) ?? '').trim();
    page = 1;
    apply();
  }, TYPED_MS);
  form.addEventListener('input', typed);
  form.addEventListener('submit', (e) => e.preventDefault());
  clear.addEventListener('click', () => {
    for (const control of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('input, select')) control.value = '';
    typed();
  });
  const turnPage = (by: number): void => {
    page += by;
    apply();
    place.node.scrollIntoView({ block: 'nearest' });
  };
  before.addEventListener('click', () => turnPage(-1));
  after.addEventListener('click', () => turnPage(1));
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('runs'))),
      form, figures.node, perDay.node,
      h('section', { class: 'card page list', 'aria-labelledby': 'runs-list-title' },
        h('header', { class: 'section-head' }, h('h2', { id: 'runs-list-title' }, t('runsList')), counter, pager), place.node)),
    theme: () => perDay.redraw(),
    destroy: () => {
      poll.stop();
      soon.stop();
      typed.stop();
      unwatch();
      perDay.destroy();
    },
  };
}

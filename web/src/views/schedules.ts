// Schedules: when each ran last and runs next, and the buttons to pause it or to run it now.

import type { Context, View } from '../context';
import { ask } from '../dialog';
import { h, icon, ICONS, type Child } from '../dom';
import { NOTHING, formatDuration } from '../format';
import { lang, t } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { routeTo } from '../route';
import * as schedules from '../schedules';
import { table } from '../table';
import { openScheduleForm } from './schedule_form';
import { ago, badge, jsonBox, throttle, when } from './parts';

const EVERY_MS = 5000;
const LIVE_EVERY_MS = 300;

export function schedulesView(ctx: Context): View {
  const place = new Place(ctx, () => poll.now());
  const outcome = h('p', { class: 'outcome', role: 'status' });
  const create = h('button', { type: 'button', class: 'primary' }, icon(ICONS.plus), t('newSchedule'));
  const outputs = new Map<string, string>(); // of executions that somebody opened
  const nameOf = schedules.titleOf;

  async function act(work: Promise<unknown>, done: string): Promise<void> {
    try {
      await work;
      outcome.textContent = done;
      outcome.className = 'outcome done';
    } catch (error) {
      outcome.textContent = ctx.failure(error);
      outcome.className = 'outcome error';
    }
    poll.now();
  }

  async function remove(one: schedules.Schedule): Promise<void> {
    if (!(await ask(t('deleteScheduleAsk', { name: nameOf(one) }), t('delete')))) return;
    await act(schedules.deleteSchedule(one.id), t('deleted', { name: nameOf(one) }));
  }

  function buttons(one: schedules.Schedule): HTMLElement {
    const name = nameOf(one);
    const button = (word: 'runNow' | 'pause' | 'resume' | 'edit' | 'delete', work: () => Promise<void>): HTMLButtonElement => {
      const node = h('button', {
        type: 'button', class: 'small', 'aria-label': `${t(word)}: ${name}`, 'data-key': `${word}-${one.id}`,
      }, t(word));
      node.addEventListener('click', () => {
        if (node.getAttribute('aria-disabled') !== 'true') void work();
      });
      return node;
    };
    const run = button('runNow', () => act(schedules.actOnSchedule(one.id, 'run'), t('startedNow', { name })));
    if (one.running) run.setAttribute('aria-disabled', 'true'); // which keeps the focus, unlike disabled
    return h('div', { class: 'buttons pairs' }, run,
      one.paused
        ? button('resume', () => act(schedules.actOnSchedule(one.id, 'resume'), t('resumedNow', { name })))
        : button('pause', () => act(schedules.actOnSchedule(one.id, 'pause'), t('pausedNow', { name }))),
      button('edit', async () => openScheduleForm(ctx, one, () => poll.now())),
      button('delete', () => remove(one)));
  }

  // Fetched when it is opened, and it stays open while the table is drawn anew.
  function output(one: schedules.Schedule, last: schedules.LastRun): HTMLElement {
    const id = last.execution_id;
    const place = h('div', {});
    const box = h('details', { class: 'output', open: outputs.has(id) },
      h('summary', { 'data-key': `output-${one.id}` }, t('output')), place);
    const show = (text: string): void =>
      place.replaceChildren(text ? jsonBox(`${t('output')}: ${nameOf(one)}`, text) : h('p', { class: 'note' }, t('saidNothing')));
    const known = outputs.get(id);
    if (known !== undefined) show(known);
    box.addEventListener('toggle', () => {
      if (!box.open) {
        outputs.delete(id);
      } else if (!outputs.has(id)) {
        place.replaceChildren(h('p', { class: 'note' }, t('loading')));
        schedules.readOutput(id).then((text) => {
          outputs.set(id, text);
          show(text);
        }, (error: unknown) => place.replaceChildren(h('p', { class: 'error' }, ctx.failure(error))));
      }
    });
    return box;
  }

  function lastRun(one: schedules.Schedule): Child {
    const last = one.last_run;
    if (!last) return t('never');
    return h('div', { class: 'last-run' },
      badge(last.severity && last.status === 'completed' ? last.severity : last.status), ' ',
      h('a', { href: routeTo('runs', last.execution_id), 'data-key': `run-${one.id}` }, ago(last.started_at)), ' ',
      h('span', { class: 'note' }, formatDuration(last.duration_ms, lang())),
      last.error ? h('p', { class: 'error' }, last.error) : last.completed_at ? output(one, last) : null);
  }

  function row(one: schedules.Schedule): Child[] {
    const state = one.running ? 'running' : one.paused ? 'paused' : 'active';
    return [
      h('span', {}, h('strong', {}, nameOf(one)), h('span', { class: 'note block' }, one.id)),
      h('code', { class: 'rhythm' }, one.interval ?? one.cron ?? ''),
      h('span', {}, t(one.kind === 'http' ? 'kindHttp' : 'kindModel'),
        h('span', { class: 'note block clip', title: one.url ?? one.prompt ?? '' }, one.url ?? one.prompt ?? '')),
      badge(state),
      lastRun(one),
      one.paused || !one.next_run_at ? NOTHING
        : h('div', {}, ago(one.next_run_at), h('span', { class: 'note block' }, when(one.next_run_at))),
      buttons(one),
    ];
  }

  const poll = new Poll(async () => {
    try {
      const { schedules: list } = await schedules.listSchedules();
      place.show(JSON.stringify([list, Math.floor(Date.now() / 30_000)]), () => [list.length > 0
        ? table(t('schedules'), [
          { title: t('name') }, { title: t('rhythm') }, { title: t('calls') }, { title: t('status') },
          { title: t('lastRun') }, { title: t('nextRun') }, { title: t('actions'), class: 'actions' },
        ], list.map(row))
        : h('div', { class: 'empty' }, h('p', { class: 'lead' }, t('noSchedules')), h('p', {}, t('noSchedulesHint')))]);
    } catch (error) {
      place.fail(error);
    }
  }, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch('gamification', {
    event: (type) => {
      if (type.startsWith('councilor_')) soon();
    },
    subscribed: soon,
  });
  create.addEventListener('click', () => openScheduleForm(ctx, null, () => poll.now()));
  return {
    node: h('section', { class: 'card page' },
      h('header', { class: 'section-head' }, h('h1', { tabindex: '-1' }, t('schedules')), h('div', { class: 'buttons' }, create)),
      outcome, place.node),
    destroy: () => {
      poll.stop();
      soon.stop();
      unwatch();
    },
  };
}

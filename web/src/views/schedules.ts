// Schedules: when each ran last and runs next, and the buttons to pause it or to run it now.

import type { Context, View } from '../context';
import { ask, openForm } from '../dialog';
import { field, h, icon, ICONS, select } from '../dom';
import { formatDuration } from '../format';
import { lang, t } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import * as schedules from '../schedules';
import { table } from '../table';
import { ago, badge, throttle } from './parts';

const EVERY_MS = 5000;
const LIVE_EVERY_MS = 300;

export function schedulesView(ctx: Context): View {
  const place = new Place(ctx, () => poll.now());
  const outcome = h('p', { class: 'outcome', role: 'status' });
  const create = h('button', { type: 'button', class: 'primary' }, icon(ICONS.plus), t('newSchedule'));
  const nameOf = (one: schedules.Schedule): string => one.display_name || one.name || one.id;

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
    const button = (word: 'runNow' | 'pause' | 'resume' | 'delete', work: () => Promise<void>): HTMLButtonElement => {
      const node = h('button', {
        type: 'button', class: 'small', 'aria-label': `${t(word)}: ${name}`, 'data-key': `${word}-${one.id}`,
      }, t(word));
      node.addEventListener('click', () => void work());
      return node;
    };
    const run = button('runNow', () => act(schedules.actOnSchedule(one.id, 'run'), t('startedNow', { name })));
    run.disabled = one.running;
    return h('span', { class: 'buttons' }, run,
      one.paused
        ? button('resume', () => act(schedules.actOnSchedule(one.id, 'resume'), t('resumedNow', { name })))
        : button('pause', () => act(schedules.actOnSchedule(one.id, 'pause'), t('pausedNow', { name }))),
      button('delete', () => remove(one)));
  }

  function row(one: schedules.Schedule): (Node | string)[] {
    const last = one.last_run;
    const state = one.running ? 'running' : one.paused ? 'paused' : 'active';
    return [
      h('span', {}, h('strong', {}, nameOf(one)), h('span', { class: 'note block' }, one.id)),
      h('code', {}, one.interval ?? one.cron ?? ''),
      h('span', {}, t(one.kind === 'http' ? 'kindHttp' : 'kindModel'),
        h('span', { class: 'note block clip', title: one.url ?? one.prompt ?? '' }, one.url ?? one.prompt ?? '')),
      badge(state),
      last ? h('span', {}, badge(last.severity && last.status === 'completed' ? last.severity : last.status), ' ',
        ago(last.started_at), h('span', { class: 'note block' }, last.error ?? formatDuration(last.duration_ms, lang())))
        : t('never'),
      h('span', {}, one.paused ? '–' : ago(one.next_run_at)),
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
  create.addEventListener('click', () => openCreate(ctx, () => poll.now()));
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

function openCreate(ctx: Context, done: () => void): void {
  const name = h('input', { type: 'text', name: 'name', autocomplete: 'off' });
  const rhythm = h('input', { type: 'text', name: 'rhythm', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', value: '5m' });
  const kind = select('kind', [['http', t('kindHttp')], ['model', t('kindModel')]], 'http');
  const url = h('input', { type: 'url', name: 'url', autocomplete: 'off', placeholder: 'https://…' });
  const prompt = h('textarea', { name: 'prompt', rows: '3', class: 'prose' });
  const model = h('input', { type: 'text', name: 'model', autocomplete: 'off', placeholder: t('asConfigured') });
  const forHttp = [field(t('url'), url, t('urlHint'))];
  const forModel = [field(t('prompt'), prompt), field(t('model'), model)];
  const choose = (): void => {
    for (const node of forHttp) node.hidden = kind.value !== 'http';
    for (const node of forModel) node.hidden = kind.value !== 'model';
  };
  kind.addEventListener('change', choose);
  choose();
  openForm({
    title: t('newSchedule'), verb: t('create'),
    fields: [field(t('name'), name), field(t('rhythm'), rhythm, t('rhythmHint')), field(t('calls'), kind), ...forHttp, ...forModel],
    submit: async () => {
      const given = name.value.trim();
      if (schedules.idOf(given) === '') return t('nameNeeded');
      const isHttp = kind.value === 'http';
      try {
        await schedules.createSchedule({
          id: schedules.idOf(given), name: given, display_name: given, kind: kind.value, ...schedules.readRhythm(rhythm.value),
          ...(isHttp ? (url.value.trim() ? { url: url.value.trim() } : {}) : { prompt: prompt.value.trim() }),
          ...(!isHttp && model.value.trim() ? { model: model.value.trim() } : {}),
        });
        done();
        return '';
      } catch (error) {
        return ctx.failure(error);
      }
    },
  });
}

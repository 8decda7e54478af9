// One execution: what it was, what it did step by step, and how often it was tried.

import type { Context, View } from '../context';
import { ask } from '../dialog';
import { h, type Child } from '../dom';
import { formatCount, formatDuration } from '../format';
import { lang, t } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { routeTo } from '../route';
import * as runs from '../runs';
import { table } from '../table';
import { ago, badge, facts, isNothing, jsonBox, stateWord, throttle, when } from './parts';

const EVERY_MS = 10_000;
const LIVE_EVERY_MS = 500;
const OPEN = ['queued', 'running'];

function steps(list: readonly runs.Step[]): HTMLElement {
  const items = list.map((step) => h('li', { 'data-state': step.status },
    h('div', { class: 'line' }, h('span', { class: 'name' }, step.name), badge(step.status),
      h('span', { class: 'note' }, formatDuration(step.duration_ms, lang())),
      h('span', { class: 'note' }, when(step.started_at ?? step.completed_at))),
    isNothing(step.detail) ? null : jsonBox(step.name, step.detail)));
  return h('section', { class: 'card page', 'aria-labelledby': 'steps-title' },
    h('h2', { id: 'steps-title' }, t('steps')),
    list.length > 0 ? h('ol', { class: 'steps' }, ...items) : h('p', { class: 'empty' }, t('noSteps')));
}

function attempts(list: readonly runs.Run[]): HTMLElement | null {
  if (list.length < 2) return null;
  return h('section', { class: 'card page', 'aria-labelledby': 'attempts-title' },
    h('h2', { id: 'attempts-title' }, t('attempts')),
    table(t('attempts'), [
      { title: t('attempt'), class: 'number' }, { title: t('status') }, { title: t('started') },
      { title: t('duration'), class: 'number' }, { title: t('error') },
    ], list.map((run) => [String(run.attempt), badge(run.status), when(run.started_at),
      formatDuration(run.duration_ms, lang()), run.error ?? ''])));
}

function content(run: runs.RunWhole): Child[] {
  const tokens = run.tokens_in === null && run.tokens_out === null ? ''
    : `${formatCount(run.tokens_in, lang())} / ${formatCount(run.tokens_out, lang())}`;
  const texts = ([['input', run.input], ['result', run.result], ['metadata', run.metadata]] as const)
    .filter(([, value]) => !isNothing(value));
  return [
    h('section', { class: 'card page' },
      run.error ? h('p', { class: 'failure' }, run.error) : null,
      facts([
        ['status', badge(run.status)], ['severity', run.severity ? badge(run.severity) : ''],
        ['kind', stateWord(run.kind)], ['method', run.method ? stateWord(run.method) : ''],
        ['agent', run.agent_name || run.agent_id || ''], ['task', run.task_id === null ? '' : String(run.task_id)],
        ['attempt', String(run.attempt)], ['started', when(run.started_at)], ['completed', when(run.completed_at)],
        ['duration', formatDuration(run.duration_ms, lang())], ['tokensInOut', tokens],
        ...(run.lease_until && OPEN.includes(run.status) ? [['leaseUntil', ago(run.lease_until)] as ['leaseUntil', Child]] : []),
        ...(run.parent_id ? [['parent', h('a', { href: routeTo('runs', run.parent_id) }, run.parent_id)] as ['parent', Child]] : []),
      ])),
    steps(run.steps ?? []),
    attempts(run.attempts ?? []),
    texts.length > 0 ? h('section', { class: 'card page texts' }, ...texts.flatMap(([word, value]) =>
      [h('h2', {}, t(word)), jsonBox(t(word), value)])) : null,
  ];
}

export function runView(ctx: Context, id: string): View {
  const place = new Place(ctx, () => poll.now());
  const title = h('h1', { tabindex: '-1' }, id);
  const outcome = h('p', { class: 'error', role: 'alert' });
  const retry = h('button', { type: 'button', hidden: true }, t('retry'));
  const cancel = h('button', { type: 'button', class: 'danger', hidden: true }, t('cancelRun'));

  async function act(verb: 'retry' | 'cancel'): Promise<void> {
    if (verb === 'cancel' && !(await ask(t('cancelRunAsk'), t('cancelRun')))) return;
    try {
      await runs.actOnRun(id, verb);
      outcome.textContent = '';
    } catch (error) {
      outcome.textContent = ctx.failure(error);
    }
    poll.now();
  }
  retry.addEventListener('click', () => void act('retry'));
  cancel.addEventListener('click', () => void act('cancel'));

  const poll = new Poll(async () => {
    try {
      const run = await runs.readRun(id);
      title.textContent = run.name || run.agent_name || run.agent_id || run.id;
      document.title = `${title.textContent} · Recado`;
      cancel.hidden = !OPEN.includes(run.status);
      retry.hidden = !['failed', 'cancelled', 'timeout', 'lost'].includes(run.status);
      place.show(JSON.stringify(run), () => content(run));
    } catch (error) {
      place.fail(error);
    }
  }, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch('runs', {
    event: (_, data) => {
      if ((data as { id?: unknown } | null)?.id === id) soon();
    },
    subscribed: soon,
  });
  return {
    node: h('div', { class: 'page run' },
      h('header', { class: 'page-head' }, h('a', { href: routeTo('runs'), class: 'back' }, `← ${t('runs')}`), title,
        h('code', { class: 'note' }, id), h('div', { class: 'buttons' }, retry, cancel)), outcome, place.node),
    destroy: () => {
      poll.stop();
      soon.stop();
      unwatch();
    },
  };
}

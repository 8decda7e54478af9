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
import type { Word } from '../words';
import { ago, badge, facts, isNothing, jsonBox, stateWord, throttle, when } from './parts';

const EVERY_MS = 10_000;
const LIVE_EVERY_MS = 500;
const OPEN = ['queued', 'running'];

type Fact = [Word, Child];

function steps(list: readonly runs.Step[]): HTMLElement {
  if (list.length === 0) return h('p', { class: 'empty' }, t('noSteps'));
  return h('ol', { class: 'steps' }, ...list.map((step) => h('li', { 'data-state': step.status },
    h('div', { class: 'line' }, h('span', { class: 'name' }, step.name), badge(step.status),
      step.duration_ms === null ? null : h('span', { class: 'note' }, formatDuration(step.duration_ms, lang())),
      h('span', { class: 'note' }, when(step.started_at ?? step.completed_at))),
    isNothing(step.detail) ? null : jsonBox(step.name, step.detail))));
}

function times(run: runs.Run): Fact[] {
  return [['started', when(run.started_at)], ['completed', when(run.completed_at)],
    ['duration', formatDuration(run.duration_ms, lang())]];
}

// What is not said of every execution has no place while there is nothing to say.
function extras(run: runs.Run): Fact[] {
  const tokens = run.tokens_in === null && run.tokens_out === null ? ''
    : `${formatCount(run.tokens_in, lang())} / ${formatCount(run.tokens_out, lang())}`;
  const all: Fact[] = [
    ['severity', run.severity ? badge(run.severity) : ''], ['task', run.task_id === null ? '' : String(run.task_id)],
    ['tokensInOut', tokens],
    ['leaseUntil', run.lease_until && OPEN.includes(run.status) ? ago(run.lease_until) : ''],
    ['parent', run.parent_id ? h('a', { href: routeTo('runs', run.parent_id) }, run.parent_id) : ''],
  ];
  return all.filter(([, value]) => value !== '');
}

function texts(run: runs.Run): HTMLElement[] {
  return ([['input', run.input], ['result', run.result], ['metadata', run.metadata]] as const)
    .filter(([, value]) => !isNothing(value))
    .flatMap(([word, value]) => [h('h3', {}, t(word)), jsonBox(t(word), value)]);
}

function card(title: Word, id: string, ...children: Child[]): HTMLElement {
  return h('section', { class: 'card page texts', 'aria-labelledby': id }, h('h2', { id }, t(title)), ...children);
}

// One of the attempts before: its own steps and its own end, read when it is unfolded.
function former(ctx: Context, run: runs.RunWhole, unfolded: Map<number, runs.RunWhole>): HTMLElement {
  const n = run.attempt;
  const place = h('div', { class: 'texts' });
  const draw = (whole: runs.RunWhole): void => place.replaceChildren(
    ...(whole.error ? [h('p', { class: 'failure' }, whole.error)] : []),
    facts([...times(whole), ...extras(whole)]), steps(whole.steps ?? []), ...texts(whole));
  const box = h('details', { class: 'attempt', open: unfolded.has(n) },
    h('summary', { 'data-key': `attempt-${n}` }, h('span', { class: 'line' },
      h('strong', {}, t('attemptN', { n })), badge(run.former_status ?? run.status), when(run.started_at),
      h('span', { class: 'note' }, formatDuration(run.duration_ms, lang())),
      h('span', { class: 'note clip' }, run.error ?? ''))), place);
  const known = unfolded.get(n);
  if (known) draw(known);
  box.addEventListener('toggle', () => {
    if (!box.open) {
      unfolded.delete(n);
    } else if (!unfolded.has(n)) {
      unfolded.set(n, run);
      runs.readRun(run.id, n).then((whole) => {
        unfolded.set(n, whole);
        draw(whole);
      }, (error: unknown) => place.replaceChildren(h('p', { class: 'error' }, ctx.failure(error))));
    }
  });
  return box;
}

function content(ctx: Context, run: runs.RunWhole, unfolded: Map<number, runs.RunWhole>): Child[] {
  const before = (run.attempts ?? []).filter((one) => one.attempt < run.attempt);
  const said = texts(run);
  return [
    h('section', { class: 'card page' },
      run.error ? h('p', { class: 'failure' }, run.error) : null,
      facts([
        ['status', badge(run.status)], ['kind', stateWord(run.kind)], ['method', run.method ? stateWord(run.method) : ''],
        ['agent', run.agent_name || run.agent_id || ''], ['attempt', String(run.attempt)], ...times(run), ...extras(run),
      ])),
    card('steps', 'steps-title', steps(run.steps ?? [])),
    said.length > 0 ? card('data', 'data-title', ...said) : null,
    before.length > 0 ? card('formerAttempts', 'attempts-title', ...before.map((one) => former(ctx, one, unfolded))) : null,
  ];
}

export function runView(ctx: Context, id: string): View {
  const place = new Place(ctx, () => poll.now());
  const title = h('h1', { tabindex: '-1' }, id);
  const outcome = h('p', { class: 'error', role: 'alert' });
  const unfolded = new Map<number, runs.RunWhole>();
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
      place.show(JSON.stringify(run), () => content(ctx, run, unfolded));
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

// What agents ask leave for: the waiting ones first, and what was decided below.

import * as approvals from '../approvals';
import { ApiError } from '../api';
import type { Context, View } from '../context';
import { h, type Child } from '../dom';
import { lang, t } from '../i18n';
import { formatCount } from '../format';
import { reads } from '../live';
import { Place } from '../place';
import { Poll } from '../poll';
import { table } from '../table';
import { ago, badge, facts, isNothing, jsonBox, throttle } from './parts';

const LIMIT = 100;
const EVERY_MS = 15_000;
const LIVE_EVERY_MS = 300;
const CONFLICT = 409;

// A token says who decides; a back end may leave it unsaid, and time has no name.
function byWhom(one: approvals.Approval): Child {
  if (one.decided_by) return one.decided_by;
  return h('span', { class: 'faint' }, t(one.status === 'expired' ? 'byNobody' : 'byUnnamed'));
}

export function approvalsView(ctx: Context): View {
  const waiting = new Place(ctx, () => poll.now());
  const decided = new Place(ctx, () => poll.now());
  const counter = h('p', { class: 'note', role: 'status' });
  const outcome = h('p', { class: 'outcome', role: 'status' });
  const notes = new Map<string, string>(); // typed, not yet said

  async function decide(one: approvals.Approval, verb: 'approve' | 'deny'): Promise<void> {
    try {
      await approvals.decide(one.id, verb, notes.get(one.id)?.trim() ?? '');
      notes.delete(one.id);
      outcome.textContent = t(verb === 'approve' ? 'approvedNow' : 'deniedNow', { action: one.action });
      outcome.className = 'outcome done';
    } catch (error) {
      outcome.textContent = error instanceof ApiError && error.status === CONFLICT
        ? t('decidedElsewhere', { action: one.action }) : ctx.failure(error);
      outcome.className = 'outcome error';
    }
    ctx.countWaiting();
    poll.now();
  }

  function card(one: approvals.Approval): HTMLElement {
    const note = h('input', {
      type: 'text', name: 'note', value: notes.get(one.id) ?? '', autocomplete: 'off',
      placeholder: t('noteOptional'), 'aria-label': t('noteFor', { action: one.action }), 'data-key': `note-${one.id}`,
    });
    note.addEventListener('input', () => notes.set(one.id, note.value));
    const button = (verb: 'approve' | 'deny', tone: string): HTMLElement => {
      const node = h('button', {
        type: 'button', class: tone, 'aria-label': `${t(verb)}: ${one.action}`, 'data-key': `${verb}-${one.id}`,
      }, t(verb));
      node.addEventListener('click', () => void decide(one, verb));
      return node;
    };
    return h('li', { class: 'approval', 'data-approval': one.id },
      h('h3', {}, one.action),
      facts([['agent', one.agent_id ?? ''], ['task', one.task_id === null ? '' : String(one.task_id)],
        ['user', one.user || t('anybody')], ['requested', ago(one.requested_at)],
        ...(one.expires_at ? [['expires', ago(one.expires_at)] as ['expires', Child]] : [])]),
      isNothing(one.details) ? null : jsonBox(t('details'), one.details),
      h('div', { class: 'decide' }, note, button('approve', 'primary'), button('deny', 'danger')));
  }

  function drawWaiting({ approvals: list, total }: approvals.Approvals): void {
    counter.textContent = total === 0 ? '' : t('waitingCount', { n: formatCount(total, lang()) });
    waiting.show(JSON.stringify([list, Math.floor(Date.now() / 60_000)]), () => [list.length > 0
      ? h('ul', { class: 'approvals' }, ...list.map(card))
      : h('div', { class: 'empty' }, h('p', { class: 'lead' }, t('nothingWaits')), h('p', {}, t('nothingWaitsHint')))]);
  }

  function drawDecided(all: readonly approvals.Approval[]): void {
    const list = all.filter((one) => one.status !== 'pending');
    decided.show(JSON.stringify([list, Math.floor(Date.now() / 60_000)]), () => [list.length > 0
      ? table(t('decided'), [
        { title: t('action') }, { title: t('agent') }, { title: t('status') }, { title: t('decidedBy') },
        { title: t('note') }, { title: t('decidedAt') },
      ], list.map((one) => [one.action, one.agent_id ?? '–', badge(one.status), byWhom(one),
        one.note ?? '', h('span', {}, ago(one.decided_at ?? one.expires_at))]))
      : h('p', { class: 'empty' }, t('nothingDecided'))]);
  }

  const poll = new Poll(async () => {
    try {
      const [pending, all] = await Promise.all([
        approvals.listApprovals('pending', LIMIT), approvals.listApprovals('', LIMIT),
      ]);
      drawWaiting(pending);
      drawDecided(all.approvals);
    } catch (error) {
      counter.textContent = '';
      waiting.fail(error);
      decided.giveUp();
    }
  }, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch('approvals', reads(soon));
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('approvals')), counter), outcome,
      h('section', { class: 'card page', 'aria-labelledby': 'waiting-title' }, h('h2', { id: 'waiting-title' }, t('waiting')), waiting.node),
      h('section', { class: 'card page', 'aria-labelledby': 'decided-title' }, h('h2', { id: 'decided-title' }, t('decided')), decided.node)),
    destroy: () => {
      poll.stop();
      soon.stop();
      unwatch();
    },
  };
}

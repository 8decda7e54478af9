// One task: its state, its subtasks, and what may be changed.

import type { Context, View } from '../context';
import { ask } from '../dialog';
import { field, h, select, type Child } from '../dom';
import { t, tn } from '../i18n';
import { Place } from '../place';
import { Poll } from '../poll';
import { routeTo } from '../route';
import * as tasks from '../tasks';
import { facts, jsonBox, stateWord, throttle, when } from './parts';

const EVERY_MS = 15_000;
const LIVE_EVERY_MS = 300;

export function taskView(ctx: Context, id: string): View {
  const place = new Place(ctx, () => poll.now());
  const title = h('h1', { tabindex: '-1' }, t('taskN', { id }));
  const outcome = h('p', { class: 'error', role: 'alert' });
  const remove = h('button', { type: 'button', class: 'small' }, t('delete'));
  const fresh = h('input', { type: 'text', name: 'subtask', autocomplete: 'off' });
  const add = h('form', { class: 'inline' }, field(t('newSubtask'), fresh), h('button', { type: 'submit' }, t('add')));

  async function tried(work: Promise<unknown>): Promise<boolean> {
    try {
      await work;
      outcome.textContent = '';
      return true;
    } catch (error) {
      outcome.textContent = ctx.failure(error);
      return false;
    } finally {
      poll.now();
    }
  }

  function choice(
    name: string, key: string, values: readonly string[], now: string, change: (value: string) => Promise<unknown>,
  ): HTMLSelectElement {
    const control = select(name, values.map((value) => [value, stateWord(value)] as const), now);
    control.dataset['key'] = key;
    control.addEventListener('change', () => void tried(change(control.value)));
    return control;
  }

  function subtask(one: tasks.Subtask): HTMLElement {
    const state = choice('subtask-status', `subtask-${one.id}`, tasks.SUBTASK_STATES, one.status,
      (status) => tasks.changeSubtask(one.id, { status }));
    state.setAttribute('aria-label', t('stateOf', { title: one.title }));
    return h('li', { 'data-subtask': one.id, 'data-state': one.status },
      h('div', { class: 'line' }, h('span', { class: 'name' }, one.title), state),
      one.description ? h('p', { class: 'note' }, one.description) : null,
      one.reviewNotes ? h('p', { class: 'note' }, one.reviewNotes) : null,
      one.result ? h('details', {}, h('summary', {}, t('result')), jsonBox(one.title, one.result)) : null);
  }

  function content({ task, subtasks }: tasks.TaskWhole): Child[] {
    const state = choice('status', 'status', tasks.TASK_STATES, task.status,
      (status) => tasks.changeTask(task.id, { status }));
    const priority = choice('priority', 'priority', tasks.PRIORITIES, task.priority,
      (value) => tasks.changeTask(task.id, { priority: value }));
    const done = subtasks.filter((one) => one.status === 'completed').length;
    return [
      h('section', { class: 'card page' },
        task.description ? h('p', { class: 'plain' }, task.description) : null,
        h('div', { class: 'filter-form' }, field(t('status'), state), field(t('priority'), priority)),
        facts([['created', when(task.createdAt)], ['updated', when(task.updatedAt)], ['completed', when(task.completedAt)]])),
      h('section', { class: 'card page', 'aria-labelledby': 'subtasks-title' },
        h('header', { class: 'section-head' }, h('h2', { id: 'subtasks-title' }, t('subtasks')),
          h('p', { class: 'note' }, subtasks.length > 0 ? tn('doneOf', subtasks.length, { done, total: subtasks.length }) : '')),
        subtasks.length > 0 ? h('ul', { class: 'steps' }, ...subtasks.map(subtask))
          : h('p', { class: 'empty' }, t('noSubtasks'))),
    ];
  }

  // There is nothing more to be asked of it.
  function leave(): void {
    poll.stop();
    soon.stop();
    ctx.go(routeTo('tasks'));
  }

  let taskId = Number(id);
  const poll = new Poll(async () => {
    try {
      const whole = await tasks.readTask(id);
      taskId = whole.task.id;
      title.textContent = whole.task.title;
      document.title = `${whole.task.title} · Recado`;
      place.show(JSON.stringify(whole), () => content(whole));
    } catch (error) {
      place.fail(error);
    }
  }, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch(`task:${id}`, {
    event: (_, data) => {
      if ((data as { deleted?: unknown } | null)?.deleted === true) leave();
      else soon();
    },
    subscribed: soon,
  });
  add.addEventListener('submit', (e) => {
    e.preventDefault();
    const name = fresh.value.trim();
    if (name === '') {
      fresh.focus();
      return;
    }
    void tried(tasks.createSubtask(taskId, name)).then((ok) => {
      if (ok) fresh.value = '';
    });
  });
  remove.addEventListener('click', () => void (async () => {
    if (!(await ask(t('deleteTaskAsk', { title: title.textContent ?? '' }), t('delete')))) return;
    try {
      await tasks.deleteTask(taskId);
      leave();
    } catch (error) {
      outcome.textContent = ctx.failure(error);
    }
  })());
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' }, h('a', { href: routeTo('tasks'), class: 'back' }, `← ${t('tasks')}`), title,
        h('div', { class: 'buttons' }, remove)), outcome, place.node,
      h('div', { class: 'card page' }, add)),
    destroy: () => {
      poll.stop();
      soon.stop();
      unwatch();
    },
  };
}

// The board of tasks: what waits, what is done now, what is done, and what went wrong.

import type { Context, View } from '../context';
import { openForm } from '../dialog';
import { field, h, icon, ICONS, select } from '../dom';
import { t, tn } from '../i18n';
import { reads } from '../live';
import { Place } from '../place';
import { Poll } from '../poll';
import { routeTo, type Route } from '../route';
import * as tasks from '../tasks';
import { taskView } from './task';
import { ago, badge, debounce, stateWord, throttle } from './parts';

const LIMIT = 200;
const EVERY_MS = 15_000;
const LIVE_EVERY_MS = 500;
const TYPED_MS = 300;

export function tasksView(ctx: Context, route: Route): View {
  if (route.name !== '') return taskView(ctx, route.name);
  const place = new Place(ctx, () => poll.now());
  const counter = h('p', { class: 'note', role: 'status' });
  const outcome = h('p', { class: 'error', role: 'alert' });
  const create = h('button', { type: 'button', class: 'primary' }, icon(ICONS.plus), t('newTask'));
  const text = h('input', { type: 'search', name: 'q', autocomplete: 'off', placeholder: t('search'), 'aria-label': t('search') });
  const priority = select('priority', [['', t('anyPriority')], ...tasks.PRIORITIES.map((p) => [p, stateWord(p)] as const)], '');
  priority.setAttribute('aria-label', t('priority'));

  async function change(task: tasks.Task, status: string): Promise<void> {
    try {
      await tasks.changeTask(task.id, { status });
      outcome.textContent = '';
      ctx.announce(t('taskMoved', { title: task.title, state: stateWord(status) }));
    } catch (error) {
      outcome.textContent = ctx.failure(error);
    }
    poll.now();
  }

  function card(task: tasks.Task): HTMLElement {
    const state = select('status', tasks.TASK_STATES.map((s) => [s, stateWord(s)] as const), task.status);
    state.setAttribute('aria-label', t('stateOf', { title: task.title }));
    state.dataset['key'] = `state-${task.id}`;
    state.addEventListener('change', () => void change(task, state.value));
    return h('li', { class: 'task-card', 'data-task': task.id },
      h('a', { href: routeTo('tasks', String(task.id)), 'data-key': `task-${task.id}` }, task.title),
      task.description ? h('p', { class: 'note clip' }, task.description) : null,
      h('div', { class: 'line' }, badge(task.priority), state, h('span', { class: 'note' }, ago(task.updatedAt))));
  }

  function board(list: readonly tasks.Task[]): HTMLElement {
    return h('div', { class: 'board' }, ...tasks.COLUMNS.map((name) => {
      const own = list.filter((task) => tasks.columnOf(task.status) === name).sort(tasks.byUrgency);
      const id = `column-${name}`;
      return h('section', { class: 'card column', 'aria-labelledby': id },
        h('h2', { id }, t(name), h('span', { class: 'count' }, String(own.length))),
        own.length > 0 ? h('ul', {}, ...own.map(card)) : h('p', { class: 'empty' }, t('columnEmpty')));
    }));
  }

  const poll = new Poll(async () => {
    try {
      const filtered = text.value.trim() !== '' || priority.value !== '';
      const { tasks: list, total } = await tasks.listTasks({
        limit: LIMIT, q: text.value.trim(), priority: priority.value,
      });
      counter.textContent = total > list.length
        ? tn('tasksShown', total, { shown: list.length, total }) : '';
      place.show(JSON.stringify([list, Math.floor(Date.now() / 60_000)]), () => [
        list.length > 0 ? board(list) : filtered ? h('p', { class: 'card page empty' }, t('noTaskMatches'))
          : h('div', { class: 'card page empty' }, h('p', { class: 'lead' }, t('noTasks')), h('p', {}, t('noTasksHint')))]);
    } catch (error) {
      counter.textContent = '';
      place.fail(error);
    }
  }, EVERY_MS);
  const soon = throttle(() => poll.now(), LIVE_EVERY_MS);
  const unwatch = ctx.live.watch('tasks', reads(soon));
  const typed = debounce(() => poll.now(), TYPED_MS);
  text.addEventListener('input', typed);
  priority.addEventListener('change', () => poll.now());
  create.addEventListener('click', () => openCreate(ctx, () => poll.now()));
  return {
    node: h('div', { class: 'page' },
      h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('tasks')), counter,
        h('div', { class: 'buttons', role: 'search' }, text, priority, create)), outcome, place.node),
    destroy: () => {
      poll.stop();
      soon.stop();
      typed.stop();
      unwatch();
    },
  };
}

function openCreate(ctx: Context, done: () => void): void {
  const title = h('input', { type: 'text', name: 'title', autocomplete: 'off', required: true });
  const description = h('textarea', { name: 'description', rows: '3', class: 'prose' });
  const priority = select('priority', tasks.PRIORITIES.map((p) => [p, stateWord(p)] as const), 'medium');
  openForm({
    title: t('newTask'), verb: t('create'),
    fields: [field(t('title'), title), field(t('description'), description), field(t('priority'), priority)],
    submit: async () => {
      if (title.value.trim() === '') return t('titleNeeded');
      try {
        await tasks.createTask({
          title: title.value.trim(), description: description.value.trim(), priority: priority.value,
        });
        done();
        return '';
      } catch (error) {
        return ctx.failure(error);
      }
    },
  });
}

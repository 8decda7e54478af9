import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, fieldAtFault, withQuery } from '../src/api';
import { NO_SETTINGS, plainLine, sendBody, titleOf } from '../src/conversations';
import { formatAgo, formatDay, formatDuration, NOTHING } from '../src/format';
import { KEPT_MAX, LogBook, matchLine, readLine, type LogLine } from '../src/loglines';
import { parseRoute, routeTo } from '../src/route';
import { filterQuery, isFiltered, readFilters, statsQuery } from '../src/runs';
import { addSample, columns, toSample, type Sample } from '../src/samples';
import { changes, idOf, readRhythm, type Schedule, type ScheduleForm } from '../src/schedules';
import { byUrgency, columnOf, readWhole, type Task } from '../src/tasks';
import { debounce, throttle } from '../src/views/parts';

describe('routes', () => {
  it.each([
    ['', { page: '', name: '', query: '' }],
    ['#/', { page: '', name: '', query: '' }],
    ['#/chat/7', { page: 'chat', name: '7', query: '' }],
    ['#/channels/project%3A1%2F2', { page: 'channels', name: 'project:1/2', query: '' }],
    ['#/channels/a/b', { page: 'channels', name: 'a/b', query: '' }],
    ['#/runs?status=failed&q=a%3Fb', { page: 'runs', name: '', query: 'status=failed&q=a%3Fb' }],
    ['#/runs/%zz', { page: 'runs', name: '%zz', query: '' }],
  ])('%s is read', (hash, { page, name, query }) => {
    const route = parseRoute(hash);
    expect([route.page, route.name, route.query.toString()]).toEqual([page, name, query]);
  });

  it('are written as they are read', () => {
    const hash = routeTo('runs', 'a b/c?d', { status: 'failed', q: 'x&y', from: '' });
    const { page, name, query } = parseRoute(hash);
    expect([page, name, [...query]]).toEqual(['runs', 'a b/c?d', [['status', 'failed'], ['q', 'x&y']]]);
  });

  it('leave empty questions out of requests', () => {
    expect(withQuery('/api/runs', { status: '', q: undefined, limit: 0, text: 'a&b' })).toBe('/api/runs?limit=0&text=a%26b');
    expect(withQuery('/api/runs', {})).toBe('/api/runs');
  });
});

describe('filters of executions', () => {
  it('come from the address', () => {
    const { filters, page } = readFilters(new URLSearchParams('status=failed&agent=ana&page=3&other=1'));
    expect(page).toBe(3);
    expect(isFiltered(filters)).toBe(true);
    expect(Object.entries(filterQuery(filters)).filter(([, v]) => v !== undefined)).toEqual(
      [['agent', 'ana'], ['status', 'failed']]);
  });

  it.each(['', '0', '-1', 'x', '1.5'])('page %s is the first', (text) => {
    expect(readFilters(new URLSearchParams({ page: text })).page).toBe(1);
  });

  it('mean the days of the visitor', () => {
    vi.stubEnv('TZ', 'America/Sao_Paulo');
    const { filters } = readFilters(new URLSearchParams('from=2026-11-29&to=2026-11-30'));
    expect(filterQuery(filters)).toMatchObject({ from: '2026-11-29T03:00:00.000Z', to: '2026-12-01T02:59:59.999Z' });
    expect(filterQuery({ ...filters, from: 'yesterday', to: '' })).toMatchObject({ from: 'yesterday', to: undefined });
    vi.unstubAllEnvs();
  });

  it('leave the days of the chart alone', () => {
    const { filters } = readFilters(new URLSearchParams('from=2026-01-01&to=2026-01-02&method=USER'));
    expect(statsQuery(filters)).toMatchObject({ days: 30, method: 'USER', from: undefined, to: undefined });
  });
});

describe('messages', () => {
  it('say only what was set', () => {
    expect(sendBody(3, 'oi', NO_SETTINGS)).toEqual({ conversation_id: 3, message: 'oi' });
    expect(sendBody(3, 'oi', { model: ' m ', temperature: '0,4', max_tokens: '100', system: 's' })).toEqual({
      conversation_id: 3, message: 'oi', model: 'm', temperature: 0.4, max_tokens: 100, system: 's',
    });
    expect(sendBody(3, 'oi', { ...NO_SETTINGS, temperature: '0' })).toEqual({
      conversation_id: 3, message: 'oi', temperature: 0,
    });
  });

  it('leave it to the server to refuse what is no number, or not a whole one', () => {
    expect(sendBody(3, 'oi', { ...NO_SETTINGS, temperature: ' hot ', max_tokens: '99.6' })).toEqual({
      conversation_id: 3, message: 'oi', temperature: 'hot', max_tokens: 99.6,
    });
  });

  it('tell which field a refusal speaks of', () => {
    const refused = (message: string, status = 400): unknown => fieldAtFault(new ApiError(status, 107, message), ['temperature', 'model']);
    expect(refused('bad request: temperature: must be a number from 0 to 10')).toEqual(
      { field: 'temperature', why: 'must be a number from 0 to 10' });
    expect(refused('model: is too long')).toEqual({ field: 'model', why: 'is too long' });
    for (const other of ['message: is missing', 'the queue is full', 'bad request']) expect(refused(other)).toBeNull();
    expect(refused('temperature: x', 503)).toBeNull();
    expect(fieldAtFault(new TypeError('temperature: x'), ['temperature'])).toBeNull();
  });

  it('stand in a list without their marks', () => {
    expect(plainLine('# Plan\n\nSome **bold** `code`, a [link](https://a.b/).\n\n- one\n> two', 120)).toBe(
      'Plan Some bold code, a link. one two');
    expect(plainLine('```python\nprint(2 * 3)\n```\nsnake_case stays', 120)).toBe('print(2 * 3) snake_case stays');
    expect(plainLine('word '.repeat(100), 9)).toBe('word word');
  });

  it('give a conversation its title', () => {
    expect(titleOf('  Olá\nmundo ')).toBe('Olá');
    expect(titleOf('## Plano\n')).toBe('Plano');
    expect(titleOf('word '.repeat(30))).toBe(`${'word '.repeat(12).trim()}…`);
    expect(titleOf('x'.repeat(100))).toBe(`${'x'.repeat(60)}…`);
  });
});

describe('tasks', () => {
  const task = (id: number, priority: string): Task => ({ id, priority, status: 'pending' } as Task);

  it('stand in a column, unknown states in the first', () => {
    expect(['pending', 'in_progress', 'completed', 'paused', 'new state'].map(columnOf)).toEqual(
      ['columnTodo', 'columnDoing', 'columnDone', 'columnStopped', 'columnTodo']);
  });

  it('are sorted by urgency, then the newest first', () => {
    const sorted = [task(1, 'low'), task(2, 'urgent'), task(3, 'low'), task(4, '?')].sort(byUrgency);
    expect(sorted.map((one) => one.id)).toEqual([2, 3, 1, 4]);
  });

  it('are read with subtasks beside or inside them', () => {
    const sub = { id: 9 };
    expect(readWhole({ task: task(1, 'low'), subtasks: [sub] })).toMatchObject({ task: { id: 1 }, subtasks: [sub] });
    expect(readWhole({ ...task(1, 'low'), subtasks: [sub] })).toMatchObject({ task: { id: 1 }, subtasks: [sub] });
    expect(readWhole(task(1, 'low')).subtasks).toEqual([]);
  });
});

describe('schedules', () => {
  it('take an interval or a cron line', () => {
    expect(readRhythm(' 5m ')).toEqual({ interval: '5m' });
    expect(readRhythm('*/5  * * *   mon')).toEqual({ cron: '*/5 * * * mon' });
    expect(readRhythm('')).toEqual({ interval: '' });
  });

  const kept = {
    id: 'audit', name: 'Audit', display_name: 'Audit', kind: 'http', interval: '5m', cron: null,
    url: 'http://a/', prompt: null, model: null,
  } as Schedule;
  const same: ScheduleForm = { name: 'Audit', rhythm: '5m', kind: 'http', url: 'http://a/', prompt: '', model: '' };

  it('are changed in what is another than before', () => {
    expect(changes(kept, same)).toEqual({});
    expect(changes(kept, { ...same, rhythm: '0 9 * * MON' })).toEqual({ cron: '0 9 * * MON' });
    expect(changes(kept, { ...same, name: 'Silva' })).toEqual({ name: 'Silva', display_name: 'Silva' });
    expect(changes({ ...kept, name: 'other' }, { ...same, name: 'Silva' })).toEqual({ display_name: 'Silva' });
    expect(changes(kept, { ...same, url: '' })).toEqual({ url: null });
    const asked = { ...same, kind: 'model', prompt: 'Sum up', model: 'small' } as const;
    expect(changes(kept, asked)).toEqual({ url: null, prompt: 'Sum up', model: 'small' });
    expect(changes({ ...kept, kind: 'model', url: null, prompt: 'Sum up', model: 'small' }, same)).toEqual(
      { url: 'http://a/', prompt: null, model: null });
  });

  it('get an id that fits an address', () => {
    expect(idOf('  Auditoria de Segurança!  ')).toBe('auditoria-de-seguranca');
    expect(idOf('···')).toBe('');
  });
});

describe('readings of the machine', () => {
  const at = (time: number, cpu: number | null = 1): Sample => ({ ...toSample({}, time), cpu });

  it('are taken from the live event, with nothing for what it does not say', () => {
    expect(toSample({ cpu: { usage: 5, temperature: null }, network: { rx: 7 }, gpu: [{ utilization: 3 }] }, 9)).toEqual({
      time: 9, cpu: 5, memory: null, disk: null, rx: 7, tx: null, gpu: 3, temperature: null,
    });
  });

  it('leave a gap where nothing was measured', () => {
    const { xs, ys } = columns([at(1000), at(11_000), at(60_000)], 10_000, [(s) => s.cpu]);
    expect(xs).toEqual([1, 11, 21, 60]);
    expect(ys).toEqual([[1, 1, null, 1]]);
  });

  it('come behind the kept ones, once a step, and leave the span', () => {
    let list = [at(0), at(10_000)];
    list = addSample(list, at(12_000), 10_000, 15_000);
    expect(list.map((s) => s.time)).toEqual([0, 10_000]);
    list = addSample(list, at(20_000), 10_000, 15_000);
    expect(list.map((s) => s.time)).toEqual([10_000, 20_000]);
  });
});

describe('lines of the log', () => {
  const line = (seq: number | null, message = `m${seq}`, level = 'info'): LogLine =>
    ({ seq, message, level, source: 'recado', time: '' });

  it('are read from rows and from events', () => {
    expect(readLine({ level: 'error', message: 'm', timestamp: 't' })).toEqual(
      { seq: null, level: 'error', message: 'm', source: '', time: 't' });
    for (const wrong of [null, 'm', {}, { message: 1 }]) expect(readLine(wrong)).toBeNull();
  });

  it('pass from a level on, of one source, with a text', () => {
    const all = { level: '', source: '', q: '' };
    expect(matchLine(all, line(1))).toBe(true);
    expect(matchLine({ ...all, level: 'warning' }, line(1))).toBe(false);
    expect(matchLine({ ...all, level: 'warning' }, line(1, 'm', 'error'))).toBe(true);
    expect(matchLine({ ...all, source: 'api' }, line(1))).toBe(false);
    expect(matchLine({ ...all, q: 'HELLO' }, line(1, 'say hello'))).toBe(true);
  });

  it('stand once and in order, live ones and stored ones', () => {
    const book = new LogBook();
    book.merge([line(1), line(2)]);
    expect(book.add(line(3))).toBe(true);
    expect(book.add(line(3))).toBe(false);
    expect(book.merge([line(1), line(2), line(3)])).toBe(false);
    book.add(line(5));
    book.merge([line(4), line(5)]);
    expect(book.lines.map((l) => l.seq)).toEqual([1, 2, 3, 4, 5]);
    book.prepend([line(0), line(1)]);
    expect(book.lines.map((l) => l.seq)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(book.firstSeq).toBe(0);
  });

  it('take the number of a stored one for a live one that had none', () => {
    const book = new LogBook();
    book.add(line(null, 'hello'));
    book.merge([line(7, 'hello')]);
    expect(book.lines).toEqual([line(7, 'hello')]);
  });

  it('are bounded', () => {
    const book = new LogBook();
    for (let i = 0; i < KEPT_MAX * 3; i += 1) book.add(line(i));
    expect(book.lines.length).toBeLessThanOrEqual(KEPT_MAX * 1.2);
    expect(book.lines.at(-1)?.seq).toBe(KEPT_MAX * 3 - 1);
  });
});

describe('formats of pages', () => {
  it('show days of UTC', () => {
    expect(formatDay('2026-11-30', 'en')).toBe('Nov 30');
    expect(formatDay('30/11', 'en')).toBe('30/11');
  });

  it('show durations and what is long ago', () => {
    expect(formatDuration(950, 'en')).toBe('950 ms');
    expect(formatDuration(9500, 'pt-BR')).toBe('9,5 s');
    expect(formatDuration(125_000, 'en')).toBe('2 min 5 s');
    expect(formatDuration(null, 'en')).toBe(NOTHING);
    expect(formatAgo(3, 'en')).toBe('now');
    expect(formatAgo(125, 'en')).toMatch(/2 min\.? ago/);
    expect(formatAgo(-7200, 'en')).toMatch(/in 2 hr/);
    expect(formatAgo(90_000, 'pt-BR')).toBe('ontem');
    expect(formatAgo(NaN, 'en')).toBe(NOTHING);
  });
});

describe('calls that wait', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('window', globalThis);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('debounce: once, when it is quiet', () => {
    const work = vi.fn();
    const call = debounce(work, 100);
    for (let i = 0; i < 5; i += 1) {
      call();
      vi.advanceTimersByTime(50);
    }
    expect(work).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(work).toHaveBeenCalledTimes(1);
    call();
    call.stop();
    vi.advanceTimersByTime(500);
    expect(work).toHaveBeenCalledTimes(1);
  });

  it('throttle: at once, then in its rhythm, and the last call counts', () => {
    const work = vi.fn();
    const call = throttle(work, 100);
    call();
    vi.advanceTimersByTime(0);
    expect(work).toHaveBeenCalledTimes(1);
    for (let i = 0; i < 10; i += 1) {
      call();
      vi.advanceTimersByTime(20);
    }
    vi.advanceTimersByTime(200);
    expect(work).toHaveBeenCalledTimes(3);
  });
});

// The log as it is written: the newest line at the end, filtered, held still or followed.

import type { Context, View } from '../context';
import { field, h, icon, ICONS, select, whileBusy } from '../dom';
import { formatClock, formatDateTime } from '../format';
import { lang, t, tn } from '../i18n';
import { LEVELS, LogBook, matchLine, readLine, readLogs, type LogFilter, type LogLine } from '../loglines';
import { keepRoute, routeTo, type Route } from '../route';
import { debounce } from './parts';

const PAGE = 200;
const DRAW_EVERY_MS = 100;
const TYPED_MS = 300;
const AT_END_PX = 40;

const TONES: Record<string, string> = { error: 'bad', critical: 'bad', warning: 'warn', warn: 'warn', debug: 'dim' };

function row(line: LogLine): HTMLElement {
  const ms = Date.parse(line.time);
  return h('li', { class: `log-line ${TONES[line.level] ?? ''}` },
    h('time', { datetime: line.time, title: formatDateTime(ms, lang()) }, Number.isFinite(ms) ? formatClock(ms, lang()) : ''),
    h('span', { class: 'level' }, line.level), h('span', { class: 'source' }, line.source),
    h('span', { class: 'text' }, line.message));
}

export function logsView(ctx: Context, route: Route): View {
  const asked = (name: keyof LogFilter): string => route.query.get(name) ?? '';
  const filter: LogFilter = { level: asked('level'), source: asked('source'), q: asked('q') };
  const book = new LogBook();
  const rows = new Map<LogLine, HTMLElement>();
  const list = h('ol', { class: 'log', tabindex: '0', role: 'log', 'aria-label': t('logs'), 'aria-live': 'off' });
  const message = h('p', { class: 'empty' }, t('loading'));
  const problem = h('p', { class: 'error', role: 'alert' });
  const counter = h('p', { class: 'note' });
  const older = h('button', { type: 'button', class: 'small', hidden: true }, t('olderOnes'));
  const pause = h('button', { type: 'button', class: 'pause', 'aria-pressed': 'false' });
  const latest = h('button', { type: 'button', class: 'icon-button latest', 'aria-label': t('toLatest'), title: t('toLatest'), hidden: true }, icon(ICONS.down));
  let turn = 0;
  let paused: LogLine[] | null = null; // what arrived meanwhile
  let drawing = 0;
  let followsEnd = true;

  const level = select('level', [['', t('anyLevel')], ...LEVELS.map((l) => [l, t('fromLevel', { level: l })] as const)], filter.level);
  const source = h('input', { type: 'search', name: 'source', value: filter.source, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const text = h('input', { type: 'search', name: 'q', value: filter.q, autocomplete: 'off' });
  const form = h('form', { class: 'filter-form', role: 'search', 'aria-label': t('filters') },
    field(t('level'), level), field(t('source'), source), field(t('text'), text));
  form.lastElementChild?.classList.add('rest');

  function drawPause(): void {
    const word = !paused ? t('pause') : paused.length > 0 ? tn('resumeCount', paused.length) : t('resume');
    pause.setAttribute('aria-pressed', String(paused !== null));
    pause.replaceChildren(icon(paused ? ICONS.play : ICONS.pause), word);
  }

  // Lines only come at either end: those that stay are not touched.
  function draw(): void {
    clearTimeout(drawing);
    drawing = 0;
    const wanted = new Set(book.lines);
    for (const [line, node] of rows) {
      if (wanted.has(line)) continue;
      node.remove();
      rows.delete(line);
    }
    let place = list.firstChild;
    for (const line of book.lines) {
      let node = rows.get(line);
      if (!node) {
        node = row(line);
        rows.set(line, node);
      }
      if (node === place) place = place.nextSibling;
      else list.insertBefore(node, place);
    }
    message.hidden = book.lines.length > 0;
    list.hidden = book.lines.length === 0;
    counter.textContent = book.lines.length > 0 ? tn('linesShown', book.lines.length) : '';
    if (followsEnd) list.scrollTop = list.scrollHeight;
    drawPause();
  }

  const isFiltered = (): boolean => filter.level !== '' || filter.source !== '' || filter.q !== '';

  async function load(afresh: boolean): Promise<void> {
    turn += 1;
    const mine = turn;
    try {
      const page = await readLogs(filter, PAGE);
      if (mine !== turn) return;
      problem.textContent = '';
      if (afresh) {
        book.lines = [];
        older.hidden = !page.has_more;
      }
      book.merge(page.logs);
      message.textContent = isFiltered() ? t('noLineMatches') : t('noLines');
      draw();
    } catch (error) {
      if (mine !== turn) return;
      problem.textContent = ctx.failure(error);
      message.textContent = '';
    }
  }

  async function loadOlder(): Promise<void> {
    try {
      const page = await whileBusy(older, () => readLogs(filter, PAGE, book.firstSeq));
      const fromEnd = list.scrollHeight - list.scrollTop;
      followsEnd = false;
      book.prepend(page.logs);
      older.hidden = !page.has_more;
      draw();
      list.scrollTop = list.scrollHeight - fromEnd;
    } catch (error) {
      problem.textContent = ctx.failure(error);
    }
  }

  function arrived(data: unknown): void {
    const line = readLine(data);
    if (!line || !matchLine(filter, line)) return;
    line.time ||= new Date().toISOString();
    if (paused) {
      paused.push(line);
      if (paused.length > PAGE * 5) paused.shift();
      drawPause();
    } else if (book.add(line)) {
      drawing ||= window.setTimeout(draw, DRAW_EVERY_MS);
    }
  }

  pause.addEventListener('click', () => {
    if (paused) for (const line of paused) book.add(line);
    paused = paused ? null : [];
    ctx.announce(paused ? t('paused') : t('resume'));
    draw();
  });
  const toEnd = (): void => {
    followsEnd = true;
    list.scrollTop = list.scrollHeight;
  };
  list.addEventListener('scroll', () => {
    followsEnd = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END_PX;
    latest.hidden = followsEnd;
  });
  latest.addEventListener('click', toEnd);
  older.addEventListener('click', () => void loadOlder());
  const typed = debounce(() => {
    Object.assign(filter, { level: level.value, source: source.value.trim(), q: text.value.trim() });
    keepRoute(routeTo('logs', '', { ...filter }));
    followsEnd = true;
    void load(true);
  }, TYPED_MS);
  form.addEventListener('input', typed);
  form.addEventListener('submit', (e) => e.preventDefault());
  const unwatch = ctx.live.watch('logs', {
    event: (_, data) => arrived(data),
    subscribed: () => {
      if (!paused) void load(book.lines.length === 0);
    },
  });
  drawPause();
  void load(true);
  return {
    node: h('section', { class: 'card page' },
      h('header', { class: 'section-head' }, h('h1', { tabindex: '-1' }, t('logs')), counter, h('div', { class: 'buttons' }, pause)),
      form, problem, h('p', { class: 'older' }, older), message, h('div', { class: 'scroll-box' }, list, latest)),
    destroy: () => {
      turn += 1;
      clearTimeout(drawing);
      typed.stop();
      unwatch();
    },
  };
}

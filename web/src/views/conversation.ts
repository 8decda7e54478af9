// One conversation: its messages, the answer as it is written, and the place to say something.

import * as chat from '../conversations';
import { ApiError, fieldAtFault, models } from '../api';
import type { Context } from '../context';
import { ask, openForm } from '../dialog';
import { field, fieldError, h, icon, ICONS, whileBusy } from '../dom';
import { t } from '../i18n';
import { Thread, type Message } from '../record';
import { routeTo } from '../route';
import { messageView, type MessageView } from './message';

const PAGE = 50;
const CATCH_UP_MS = 1500; // while the live channel is not to be had
const AT_END_PX = 24;

export interface Pane {
  readonly node: HTMLElement;
  destroy(): void;
}

export interface Shared extends chat.Talk {
  changed: () => void; // the list of conversations is not what it was
}

export function conversationPane(ctx: Context, shared: Shared, id: number | null): Pane {
  const thread = new Thread();
  const views = new Map<string, MessageView>();
  const list = h('ol', { class: 'messages', 'aria-label': t('messages') });
  const older = h('button', { type: 'button', class: 'small', hidden: true }, t('olderMessages'));
  const status = h('p', { class: 'empty' }, id === null ? t('chatStart') : t('loading'));
  const problem = h('p', { class: 'error', role: 'alert' });
  const latest = h('button', { type: 'button', class: 'icon-button latest', 'aria-label': t('toLatest'), title: t('toLatest'), hidden: true }, icon(ICONS.down));
  const scroll = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': t('messages') },
    h('p', { class: 'older' }, older), status, list);
  const title = h('h1', { tabindex: '-1' }, id === null ? t('newConversation') : t('conversationN', { id: id ?? '' }));
  const rename = h('button', { type: 'button', class: 'small' }, t('rename'));
  const remove = h('button', { type: 'button', class: 'small' }, t('delete'));
  const composer = h('textarea', {
    name: 'message', rows: '2', value: shared.drafts.get(id) ?? '', placeholder: t('messagePlaceholder'), 'aria-label': t('message'),
  });
  const send = h('button', { type: 'submit', class: 'primary' }, t('sendMessage'));
  const stop = h('button', { type: 'button', class: 'danger', hidden: true }, icon(ICONS.stop), t('stopAnswer'));
  let conversation: chat.Conversation | null = null;
  let sending = false;
  let catching = 0;
  let gone = false;
  let unwatch = (): void => undefined;
  const wasWriting = new Set<string>();

  // The end is followed until the reader looks at what was said before, however the text grows.
  let follows = true;
  let scrolledTo = 0;
  const fromEnd = (): number => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
  const grown = new ResizeObserver(() => {
    if (follows) scroll.scrollTop = scroll.scrollHeight;
    latest.hidden = fromEnd() < AT_END_PX;
  });
  grown.observe(list);
  grown.observe(scroll);

  function toEnd(): void {
    follows = true;
    scroll.scrollTop = scroll.scrollHeight;
    latest.hidden = true;
  }

  function drawControls(): void {
    const writing = thread.streaming !== undefined;
    stop.hidden = !writing;
    send.hidden = writing;
    send.disabled = sending;
    if (!writing && problem.textContent === t('answerUnderWay')) problem.textContent = '';
  }

  // What is heard: that an answer has begun, and the whole of it when it is there.
  function announce(message: Message): void {
    if (message.role === 'user') return;
    if (message.state === 'streaming') {
      if (!wasWriting.has(message.id)) ctx.announce(t('answerBegins'));
      wasWriting.add(message.id);
    } else if (wasWriting.delete(message.id)) {
      ctx.announce(message.state === 'complete' ? t('answerDone', { text: message.content.slice(0, 2000) })
        : t(message.state === 'cancelled' ? 'answerCancelled' : 'answerFailed'));
    }
  }

  function draw(): void {
    status.hidden = thread.messages.length > 0;
    let place = list.firstChild;
    for (const message of thread.messages) {
      let view = views.get(message.id);
      if (view) {
        view.update(message);
      } else {
        view = messageView(message, ctx.announce, askAgain);
        views.set(message.id, view);
      }
      if (view.node === place) place = place.nextSibling;
      else list.insertBefore(view.node, place);
      announce(message);
    }
    if (follows) toEnd();
    drawControls();
    catchUp();
  }

  // The stored text is asked for as long as one is being written of which the live channel says nothing:
  // it cannot be had, or its last word came just before we listened.
  function catchUp(): void {
    const writing = thread.streaming;
    if (id === null || gone || catching !== 0 || !writing) return;
    if (ctx.live.isLive(`chat:${id}`) && writing.seq !== null) return;
    catching = window.setTimeout(() => {
      catching = 0;
      void load().then(catchUp);
    }, CATCH_UP_MS);
  }

  async function load(): Promise<void> {
    if (id === null) return;
    try {
      const page = await chat.readMessages(id, PAGE);
      if (gone) return;
      if (views.size === 0) older.hidden = !page.has_more;
      thread.addRows(page.messages);
      status.textContent = t('noMessages');
      draw();
    } catch (error) {
      if (!gone && thread.messages.length === 0) status.textContent = ctx.failure(error);
    }
  }

  async function loadOlder(): Promise<void> {
    const first = thread.messages[0];
    if (id === null || !first) return;
    try {
      const page = await whileBusy(older, () => chat.readMessages(id, PAGE, first.id));
      const before = scroll.scrollHeight - scroll.scrollTop;
      follows = false;
      thread.addRows(page.messages);
      older.hidden = !page.has_more;
      draw();
      scroll.scrollTop = scroll.scrollHeight - before;
    } catch (error) {
      problem.textContent = ctx.failure(error);
    }
  }

  function drawHead(): void {
    if (!conversation) return;
    title.textContent = conversation.title || t('conversationN', { id: conversation.id });
    document.title = `${title.textContent} · Recado`;
    // What an empty field means here.
    for (const [name, own] of [['model', conversation.model], ['system', conversation.system_prompt]] as const) {
      settings.querySelector(`[name=${name}]`)?.setAttribute('placeholder', own || t('asConfigured'));
    }
  }

  async function loadHead(): Promise<void> {
    if (id === null) return;
    try {
      conversation = await chat.readConversation(id);
      drawHead();
    } catch {
      // A conversation that only exists by its number has no row yet.
    }
  }

  async function begin(text: string, { model, system }: chat.Settings): Promise<number> {
    return (await chat.createConversation({
      title: chat.titleOf(text),
      ...(model.trim() ? { model: model.trim() } : {}),
      ...(system.trim() ? { system_prompt: system.trim() } : {}),
    })).id;
  }

  async function say(text: string): Promise<void> {
    sending = true;
    problem.textContent = '';
    drawControls();
    try {
      const target = id ?? await begin(text, shared.settings);
      const sent = await chat.sendMessage(target, text, shared.settings).catch(async (error: unknown) => {
        if (id === null && error instanceof ApiError) await chat.deleteConversation(target).catch(() => undefined);
        throw error;
      });
      // Who asks again has perhaps begun to write something else.
      if (composer.value.trim() === text) {
        composer.value = '';
        shared.drafts.delete(id);
      }
      shared.changed();
      if (id === null) {
        shared.begun = target;
        ctx.go(routeTo('chat', String(target)));
        return;
      }
      thread.addRows([sent.message, sent.answer]);
      follows = true;
      draw();
      composer.focus();
    } catch (error) {
      sayWrong(error);
    } finally {
      sending = false;
      drawControls();
    }
  }

  // A refused setting is told at its field, where what was typed still stands.
  function sayWrong(error: unknown): void {
    const fault = fieldAtFault(error, Object.keys(shared.settings));
    const control = fault && settings.querySelector<HTMLElement>(`[name=${fault.field}]`);
    if (control) {
      settings.open = true;
      fieldError(control, fault.why);
    } else {
      problem.textContent = ctx.failure(error);
    }
    (control ?? composer).focus();
  }

  function askAgain(answer: Message): void {
    const at = thread.messages.findIndex((message) => message.id === answer.id);
    const question = thread.messages.slice(0, at).reverse().find((message) => message.role === 'user');
    if (question && !thread.streaming && !sending) void say(question.content);
  }

  async function cancel(): Promise<void> {
    if (id === null) return;
    stop.disabled = true;
    try {
      await chat.cancelAnswer(id);
    } catch (error) {
      problem.textContent = ctx.failure(error);
    }
    stop.disabled = false;
    composer.focus();
  }

  function openRename(): void {
    const name = h('input', { type: 'text', name: 'title', value: conversation?.title ?? '', autocomplete: 'off' });
    openForm({
      title: t('rename'), verb: t('save'), fields: [field(t('title'), name)],
      submit: async () => {
        if (id === null) return '';
        try {
          conversation = await chat.changeConversation(id, { title: name.value.trim() });
          drawHead();
          shared.changed();
          return '';
        } catch (error) {
          return ctx.failure(error);
        }
      },
    });
  }

  async function erase(): Promise<void> {
    if (id === null || !(await ask(t('deleteConversationAsk', { title: title.textContent ?? '' }), t('delete')))) return;
    try {
      await chat.deleteConversation(id);
      shared.changed();
      ctx.go(routeTo('chat'));
    } catch (error) {
      problem.textContent = ctx.failure(error);
    }
  }

  function settingsFields(): HTMLDetailsElement {
    const input = (name: keyof chat.Settings, more: Record<string, unknown>): HTMLInputElement => {
      const box = h('input', { type: 'text', name, value: shared.settings[name], autocomplete: 'off', spellcheck: 'false', ...more });
      box.addEventListener('input', () => { shared.settings[name] = box.value; });
      return box;
    };
    const known = h('datalist', { id: 'known-models' });
    const model = input('model', { list: 'known-models', autocapitalize: 'none', placeholder: t('asConfigured') });
    const system = h('textarea', { name: 'system', rows: '2', value: shared.settings.system, placeholder: t('asConfigured') });
    system.addEventListener('input', () => { shared.settings.system = system.value; });
    const box = h('details', { class: 'settings' }, h('summary', {}, t('modelSettings')), h('div', { class: 'grid' },
      field(t('model'), model), known,
      field(t('temperature'), input('temperature', { inputmode: 'decimal', placeholder: t('asConfigured') })),
      field(t('maxTokens'), input('max_tokens', { inputmode: 'numeric', placeholder: t('asConfigured') })),
      field(t('systemPrompt'), system)));
    box.addEventListener('toggle', () => {
      if (!box.open || known.childElementCount > 0) return;
      models().then((names) => known.replaceChildren(...names.map((value) => h('option', { value }))),
        () => undefined); // a model's server that does not run is told of when somebody asks it
    });
    return box;
  }

  const settings = settingsFields();
  const form = h('form', { class: 'composer', novalidate: true }, composer,
    h('div', { class: 'buttons' }, send, stop, h('span', { class: 'hint' }, t('messageHint'))),
    problem, settings);
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const text = composer.value.trim();
    if (text === '' || sending) return;
    if (thread.streaming) problem.textContent = t('answerUnderWay');
    else void say(text);
  });
  composer.addEventListener('input', () => { shared.drafts.set(id, composer.value); });
  composer.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener('click', () => void cancel());
  older.addEventListener('click', () => void loadOlder());
  rename.addEventListener('click', openRename);
  remove.addEventListener('click', () => void erase());
  latest.addEventListener('click', toEnd);
  scroll.addEventListener('scroll', () => {
    const left = fromEnd();
    if (left < AT_END_PX && (left < 2 || scroll.scrollTop >= scrolledTo)) follows = true;
    else if (scroll.scrollTop < scrolledTo) follows = false;
    scrolledTo = scroll.scrollTop;
    latest.hidden = left < AT_END_PX;
  });

  if (id !== null) {
    const channel = `chat:${id}`;
    unwatch = ctx.live.watch(channel, {
      event: (type, data) => {
        const change = thread.apply(type, data);
        if (change === 'gap') ctx.live.refresh(channel);
        if (change !== 'changed') return;
        draw();
        if (type === 'chat:message') shared.changed();
      },
      // What was said while nobody listened.
      subscribed: () => void load(),
    });
    void loadHead();
    void load();
  }
  return {
    node: h('section', { class: 'card conversation' },
      h('header', { class: 'section-head' },
        h('a', { href: routeTo('chat'), class: 'back' }, `← ${t('chat')}`), title,
        h('div', { class: 'buttons', hidden: id === null }, rename, remove)),
      h('div', { class: 'scroll-box' }, scroll, latest), form),
    destroy: () => {
      gone = true;
      clearTimeout(catching);
      grown.disconnect();
      unwatch();
    },
  };
}

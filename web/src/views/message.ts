// One message of a conversation, redrawn as it grows.

import { copyButton } from '../copy';
import { h } from '../dom';
import { formatDateTime } from '../format';
import { lang, t } from '../i18n';
import { MarkdownView } from '../markdown';
import type { Message } from '../record';

const REST_FACTOR = 4; // of the time that a drawing took: a long text is drawn less often
const EVERY_MS = 60;

export interface MessageView {
  readonly node: HTMLElement;
  update(message: Message): void;
}

function noteOf(message: Message): string {
  if (message.state === 'cancelled') return t('answerCancelled');
  return message.state === 'streaming' && message.content === '' ? t('answerWaits') : '';
}

// A model that does not answer is mostly one that does not run, or one that nobody told us of.
function failure(message: Message, again: () => void): HTMLElement {
  const button = h('button', { type: 'button', class: 'small' }, t('askAgain'));
  button.addEventListener('click', again);
  return h('div', { class: 'failure', role: 'alert' },
    h('p', { class: 'lead' }, t(message.content === '' ? 'answerFailed' : 'answerBroke')),
    message.error ? h('p', { class: 'why' }, message.error) : null,
    h('details', {}, h('summary', {}, t('modelHelp')),
      h('ol', {}, h('li', {}, t('modelHelpStart')), h('li', {}, t('modelHelpUrl')), h('li', {}, t('modelHelpName'))),
      h('pre', { tabindex: '0', role: 'group', 'aria-label': 'recado.yaml' }, h('code', { translate: 'no' },
        'llm:\n  url: http://localhost:1234/v1\n  model: llama-3.2-3b-instruct'))),
    h('p', {}, button));
}

export function messageView(
  first: Message, announce: (text: string) => void, again: (message: Message) => void,
): MessageView {
  const mine = first.role === 'user';
  const text = new MarkdownView(announce);
  const plain = h('p', { class: 'plain' });
  const note = h('p', { class: 'note' });
  const foot = h('div', {});
  let message = first;
  let drawn: string | null = null;
  let nextMs = 0;
  let timer = 0;

  const node = h('li', { class: `message ${mine ? 'mine' : 'theirs'}`, 'data-id': first.id },
    h('header', {}, h('h2', {}, mine ? t('you') : first.role === 'system' ? t('system') : t('assistant')),
      h('span', { class: 'note model' }),
      h('time', {
        class: 'note', datetime: Number.isFinite(first.atMs) ? new Date(first.atMs).toISOString() : undefined,
      }, formatDateTime(first.atMs, lang())),
      copyButton(t('message'), () => message.content, announce)),
    mine ? plain : text.node, note, foot);

  function drawText(): void {
    timer = 0;
    if (drawn === message.content) return;
    const before = performance.now();
    drawn = message.content;
    if (mine) plain.textContent = drawn;
    else text.set(drawn);
    nextMs = performance.now() + Math.max(EVERY_MS, (performance.now() - before) * REST_FACTOR);
  }

  function update(now: Message): void {
    message = now;
    const streaming = now.state === 'streaming';
    const waitMs = nextMs - performance.now();
    if (!streaming || waitMs <= 0) {
      clearTimeout(timer);
      drawText();
    } else {
      timer ||= window.setTimeout(drawText, waitMs);
    }
    const state = `${now.state} ${now.error} ${now.content === ''}`;
    if (node.dataset['drawn'] === state) return;
    node.dataset['drawn'] = state;
    node.dataset['state'] = now.state;
    node.setAttribute('aria-busy', String(streaming));
    node.classList.toggle('writing', streaming);
    const model = node.querySelector('.model');
    if (model) model.textContent = now.model;
    note.textContent = noteOf(now);
    foot.replaceChildren(...(now.state === 'failed' ? [failure(now, () => again(message))] : []));
  }

  update(first);
  return { node, update };
}

// Where a list is shown: loading at first, then its rows, a word when there are none, or what went
// wrong and a way to try again.

import type { Context } from './context';
import { h, type Child } from './dom';
import { t } from './i18n';

export class Place {
  readonly node = h('div', { class: 'place', 'aria-busy': 'true' }, h('p', { class: 'empty' }, t('loading')));
  private drawn = '';

  constructor(private readonly ctx: Context, private readonly again: () => void) {}

  // Nothing is touched while the state is the same: focus, selection and opened parts stay.
  show(state: string, draw: () => readonly Child[]): void {
    this.node.setAttribute('aria-busy', 'false');
    if (state === this.drawn && state !== '') return;
    const focused = focusKey(document.activeElement);
    const hadFocus = this.node.contains(document.activeElement);
    this.drawn = state;
    this.node.replaceChildren(...draw().flatMap((child) =>
      child === null || child === undefined || child === false ? []
        : [child instanceof Node ? child : String(child)]));
    if (hadFocus && focused) {
      this.node.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  fail(error: unknown): void {
    const text = this.ctx.failure(error);
    this.show(`error ${text}`, () => [h('div', { class: 'empty' },
      h('p', { class: 'error', role: 'alert' }, text), h('p', {}, this.button()))]);
  }

  private button(): HTMLElement {
    const button = h('button', { type: 'button' }, t('tryAgain'));
    button.addEventListener('click', this.again);
    return button;
  }
}

function focusKey(node: Element | null): string {
  return (node instanceof HTMLElement && node.dataset['key']) || '';
}

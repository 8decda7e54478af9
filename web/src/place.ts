// Where a list is shown: loading at first, then its rows, or a word when there are none. What goes wrong
// is told with a way to try again, above the rows that are there.

import type { Context } from './context';
import { h, type Child } from './dom';
import { t } from './i18n';

export class Place {
  private readonly trouble = h('div', { class: 'trouble', role: 'alert', hidden: true });
  private readonly rows = h('div', { class: 'place' }, h('p', { class: 'empty' }, t('loading')));
  readonly node = h('div', { 'aria-busy': 'true' }, this.trouble, this.rows);
  private drawn = '';
  private said = '';

  constructor(private readonly ctx: Context, private readonly again: () => void) {}

  // Nothing is touched while the state is the same: focus, selection and opened parts stay.
  show(state: string, draw: () => readonly Child[]): void {
    this.node.setAttribute('aria-busy', 'false');
    this.say('');
    if (state === this.drawn && state !== '') return;
    const active = document.activeElement;
    const focused = focusKey(active);
    const caret = active instanceof HTMLInputElement ? [active.selectionStart, active.selectionEnd] as const : null;
    const hadFocus = this.rows.contains(active);
    this.drawn = state;
    this.rows.replaceChildren(...draw().flatMap((child) =>
      child === null || child === undefined || child === false ? []
        : [child instanceof Node ? child : String(child)]));
    if (hadFocus) this.focusAgain(focused, caret);
  }

  // On what took its place; where that is gone, at the title and not on a button that does something else.
  private focusAgain(key: string, caret: readonly [number | null, number | null] | null): void {
    const heir = key === '' ? null : this.rows.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
    heir?.focus({ preventScroll: true });
    if (heir === null || document.activeElement !== heir) document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
    if (caret && heir instanceof HTMLInputElement) heir.setSelectionRange(...caret);
  }

  fail(error: unknown): void {
    this.giveUp();
    this.say(this.ctx.failure(error));
  }

  // Where another place beside this one tells what is wrong.
  giveUp(): void {
    this.node.setAttribute('aria-busy', 'false');
    if (this.drawn === '') this.rows.replaceChildren();
  }

  private say(text: string): void {
    if (text === this.said) return;
    const hadFocus = this.trouble.contains(document.activeElement);
    this.said = text;
    this.trouble.hidden = text === '';
    this.trouble.replaceChildren(...(text ? [h('p', { class: 'error' }, text), this.button()] : []));
    if (hadFocus) this.focusAgain('', null);
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

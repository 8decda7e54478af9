// Questions over the page: one to say yes or no to, and one with a form.

import { h, whileBusy } from './dom';
import { t } from './i18n';

const opened = new Set<HTMLDialogElement>();

// What had the focus may have been drawn anew meanwhile: its key finds the one that took its place.
function giveBack(opener: Element | null): void {
  if (document.activeElement !== null && document.activeElement !== document.body) return;
  const key = opener instanceof HTMLElement ? opener.dataset['key'] : undefined;
  const heir = opener?.isConnected ? opener
    : key ? document.querySelector(`[data-key="${CSS.escape(key)}"]`) : null;
  if (heir instanceof HTMLElement) heir.focus({ preventScroll: true });
}

export function showDialog(dialog: HTMLDialogElement): void {
  const opener = document.activeElement;
  opened.add(dialog);
  dialog.addEventListener('close', () => {
    opened.delete(dialog);
    dialog.remove();
    giveBack(opener);
  });
  document.body.append(dialog);
  dialog.showModal();
}

// A question belongs to the page that asked it, and goes with it.
export function closeDialogs(): void {
  for (const dialog of [...opened]) dialog.close();
}

// Asks first; resolves to true when the visitor means it.
export function ask(question: string, verb: string): Promise<boolean> {
  const yes = h('button', { type: 'submit', value: 'yes', class: 'danger' }, verb);
  yes.value = 'yes';
  const no = h('button', { type: 'submit', value: 'no' }, t('cancel'));
  const dialog = h('dialog', { 'aria-labelledby': 'ask-text' },
    h('form', { method: 'dialog' }, h('p', { id: 'ask-text' }, question), h('div', { class: 'buttons' }, yes, no)));
  showDialog(dialog);
  no.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'));
  });
}

export interface FormDialog {
  title: string;
  verb: string; // on the button
  fields: readonly (HTMLElement | null)[];
  // A text that says what is wrong, or '' when it is done.
  submit: () => Promise<string>;
}

export function openForm({ title, verb, fields, submit }: FormDialog): void {
  const problem = h('p', { class: 'error', role: 'alert' });
  const send = h('button', { type: 'submit', class: 'primary' }, verb);
  const no = h('button', { type: 'button' }, t('cancel'));
  const form = h('form', { class: 'access', novalidate: true }, ...fields, problem,
    h('div', { class: 'buttons' }, send, no));
  const dialog = h('dialog', { 'aria-labelledby': 'form-title' }, h('h2', { id: 'form-title' }, title), form);

  async function save(): Promise<void> {
    problem.textContent = '';
    const wrong = await whileBusy(send, submit);
    problem.textContent = wrong;
    if (wrong === '') dialog.close();
  }

  form.addEventListener('submit', (e) => {
    e.preventDefault();
    void save();
  });
  no.addEventListener('click', () => dialog.close());
  showDialog(dialog);
  form.querySelector<HTMLElement>('input, select, textarea')?.focus();
}

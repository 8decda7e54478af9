// Questions over the page: one to say yes or no to, and one with a form.

import { h } from './dom';
import { t } from './i18n';

// Asks first; resolves to true when the visitor means it.
export function ask(question: string, verb: string): Promise<boolean> {
  const yes = h('button', { type: 'submit', value: 'yes', class: 'danger' }, verb);
  yes.value = 'yes';
  const no = h('button', { type: 'submit', value: 'no' }, t('cancel'));
  const dialog = h('dialog', { 'aria-labelledby': 'ask-text' },
    h('form', { method: 'dialog' }, h('p', { id: 'ask-text' }, question), h('div', { class: 'buttons' }, yes, no)));
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
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
    send.disabled = true;
    problem.textContent = '';
    const wrong = await submit();
    send.disabled = false;
    problem.textContent = wrong;
    if (wrong === '') dialog.close();
  }

  form.addEventListener('submit', (e) => {
    e.preventDefault();
    void save();
  });
  no.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector<HTMLElement>('input, select, textarea')?.focus();
}

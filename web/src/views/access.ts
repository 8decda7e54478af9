// The form for an API key or a token: the whole page when the server asks for it, a dialog later.

import { forgetAccess, keepAccess, readAccess } from '../access';
import * as api from '../api';
import { showDialog } from '../dialog';
import { field, h } from '../dom';
import { t } from '../i18n';

function secret(name: string, value: string): HTMLInputElement {
  return h('input', { type: 'password', name, value, autocomplete: 'off', spellcheck: 'false' });
}

function accessForm(done: () => void, required: boolean): HTMLFormElement {
  const kept = readAccess();
  const apiKey = secret('api-key', kept.apiKey);
  const token = secret('token', kept.token);
  const tenant = h('input', {
    type: 'text', name: 'access-tenant', value: kept.tenant, autocomplete: 'off', spellcheck: 'false',
    autocapitalize: 'none',
  });
  const problem = h('p', { class: 'error', role: 'alert' });
  const submit = h('button', { type: 'submit', class: 'primary' }, required ? t('signIn') : t('save'));

  async function save(): Promise<void> {
    if (required && apiKey.value.trim() === '' && token.value.trim() === '') {
      problem.textContent = t('signInEmpty');
      apiKey.focus();
      return;
    }
    const before = readAccess();
    keepAccess({
      apiKey: apiKey.value.trim(), token: token.value.trim(), tenant: tenant.value.trim(),
    });
    submit.disabled = true;
    try {
      await api.info();
      done();
    } catch (error) {
      // A token may open the live view alone; a refused key opens nothing.
      const tokenOnly = apiKey.value.trim() === '' && token.value.trim() !== '';
      if (tokenOnly && error instanceof api.ApiError && error.unauthorized) {
        done();
        return;
      }
      keepAccess(before);
      problem.textContent = error instanceof api.ApiError && error.unauthorized
        ? t('signInWrong') : t('failed', { message: String((error as Error).message) });
      apiKey.focus();
    } finally {
      submit.disabled = false;
    }
  }

  const form = h('form', { class: 'access', novalidate: true },
    h('p', {}, required ? t('signInText') : t('accessText')),
    field(t('apiKey'), apiKey), field(t('token'), token),
    field(t('tenant'), tenant, t('tenantHint')), problem,
    h('div', { class: 'buttons' }, submit));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    void save();
  });
  return form;
}

export function signInView(done: () => void): HTMLElement {
  return h('section', { class: 'card sign-in', 'aria-labelledby': 'sign-in-title' },
    h('h1', { id: 'sign-in-title', tabindex: '-1' }, t('signIn')), accessForm(done, true));
}

export function openAccessDialog(changed: () => void): void {
  const forget = h('button', { type: 'button' }, t('signOut'));
  const close = h('button', { type: 'button' }, t('close'));
  const dialog = h('dialog', { 'aria-labelledby': 'access-title' },
    h('h2', { id: 'access-title' }, t('access')));
  const form = accessForm(() => {
    dialog.close();
    changed();
  }, false);
  forget.addEventListener('click', () => {
    forgetAccess();
    dialog.close();
    changed();
  });
  close.addEventListener('click', () => dialog.close());
  form.querySelector('.buttons')?.append(forget, close);
  dialog.append(form);
  showDialog(dialog);
}

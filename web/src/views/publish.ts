// The form to publish, checked while it is filled in, and the same as a command.

import { readAccess } from '../access';
import * as api from '../api';
import { curlCommand, recadoCommand, type PublishFields } from '../commands';
import type { Context, View } from '../context';
import { commandBox } from '../copy';
import { field, h, whileBusy } from '../dom';
import { t } from '../i18n';
import { checkJson, indentJson } from '../json';

function problemWith(data: string): string {
  if (data.trim() === '') return t('jsonEmpty');
  const problem = checkJson(data);
  if (!problem) return '';
  const { line, column, atEnd } = problem;
  return t(atEnd ? 'jsonEnds' : 'jsonWrong', { line, column });
}

export function publishView(ctx: Context): View {
  const text = (name: 'channel' | 'type' | 'tenant', more: Record<string, unknown>): HTMLInputElement =>
    h('input', {
      type: 'text', name, value: ctx.draft[name], autocomplete: 'off', spellcheck: 'false',
      autocapitalize: 'none', ...more,
    });
  const channel = text('channel', { required: true, list: 'known-channels', id: 'publish-channel' });
  const type = text('type', {});
  const tenant = text('tenant', { placeholder: readAccess().tenant });
  const data = h('textarea', {
    name: 'data', rows: '6', spellcheck: 'false', autocapitalize: 'none', value: ctx.draft.data,
    id: 'publish-data',
  });
  const problem = h('p', { class: 'error', id: 'publish-problem' });
  const outcome = h('p', { class: 'outcome', role: 'status' });
  const send = h('button', { type: 'submit', class: 'primary' }, t('send'));
  const format = h('button', { type: 'button' }, t('format'));
  const curl = commandBox('curl', ctx.announce);
  const recado = commandBox('recado publish', ctx.announce);

  function fields(): PublishFields {
    return {
      channel: channel.value.trim(),
      type: type.value.trim(),
      tenant: tenant.value.trim() || readAccess().tenant,
      data: data.value,
    };
  }

  function check(): void {
    ctx.draft = { ...fields(), tenant: tenant.value.trim() };
    const wrong = problemWith(data.value);
    problem.textContent = wrong;
    data.setAttribute('aria-invalid', String(wrong !== ''));
    const withKey = readAccess().apiKey !== '';
    const shown = { ...fields(), channel: channel.value.trim() || 'demo:hello' };
    if (wrong !== '') return;
    curl.set(curlCommand(location.origin, shown, withKey));
    recado.set(recadoCommand(location.origin, shown, withKey));
  }

  function tell(message: string, failed: boolean): void {
    outcome.textContent = message;
    outcome.classList.toggle('error', failed);
    outcome.classList.toggle('done', !failed);
  }

  async function publish(): Promise<void> {
    check();
    if (channel.value.trim() === '') {
      tell(t('channelNeeded'), true);
      channel.focus();
      return;
    }
    if (problemWith(data.value) !== '') {
      data.focus();
      return;
    }
    const sent = fields();
    tell(t('sending'), false);
    try {
      const { offset } = await whileBusy(send, () => api.publish(sent, sent.data));
      ctx.known.add(sent.channel);
      tell(offset
        ? t('sentOffset', { channel: sent.channel, offset })
        : t('sent', { channel: sent.channel }), false);
    } catch (error) {
      tell(ctx.failure(error), true);
    }
  }

  const form = h(
    'form', { novalidate: true },
    field(t('channel'), channel), field(t('typeOptional'), type, t('typeHint')),
    field(t('dataJson'), data), problem,
    h('details', { class: 'more' }, h('summary', {}, t('otherTenant')), field(t('tenant'), tenant, t('tenantHint'))),
    h('div', { class: 'buttons' }, send, format, h('span', { class: 'hint' }, t('publishHint'))),
    outcome,
  );
  data.setAttribute('aria-describedby', 'publish-problem');
  form.addEventListener('input', check);
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    void publish();
  });
  form.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || !(e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    void publish();
  });
  format.addEventListener('click', () => {
    if (problemWith(data.value) === '') data.value = indentJson(data.value);
    check();
  });
  check();
  return {
    node: h(
      'section', { class: 'card publish', id: 'publish', 'aria-labelledby': 'publish-title' },
      h('header', { class: 'section-head' }, h('h2', { id: 'publish-title', tabindex: '-1' }, t('publish'))),
      form,
      h('details', { class: 'as-command' }, h('summary', {}, t('asCommand')), curl.node, recado.node),
    ),
  };
}

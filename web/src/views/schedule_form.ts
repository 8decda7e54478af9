// The dialog that makes a schedule, and the same one to change it.

import type { Context } from '../context';
import { openForm } from '../dialog';
import { field, h, select } from '../dom';
import { t } from '../i18n';
import * as schedules from '../schedules';

export function openScheduleForm(ctx: Context, one: schedules.Schedule | null, done: () => void): void {
  const text = (name: string, value: string, more: Record<string, unknown> = {}): HTMLInputElement =>
    h('input', { type: 'text', name, value, autocomplete: 'off', ...more });
  const name = text('name', one ? schedules.titleOf(one) : '');
  const rhythm = text('rhythm', one ? one.interval ?? one.cron ?? '' : '5m', { spellcheck: 'false', autocapitalize: 'none' });
  const kind = select('kind', [['http', t('kindHttp')], ['model', t('kindModel')]], one?.kind ?? 'http');
  const url = text('url', one?.url ?? '', { type: 'url', placeholder: 'https://…' });
  const prompt = h('textarea', { name: 'prompt', rows: '3', class: 'prose', value: one?.prompt ?? '' });
  const model = text('model', one?.model ?? '', { placeholder: t('asConfigured') });
  const forHttp = [field(t('url'), url, t('urlHint'))];
  const forModel = [field(t('prompt'), prompt), field(t('model'), model)];
  const choose = (): void => {
    for (const node of forHttp) node.hidden = kind.value !== 'http';
    for (const node of forModel) node.hidden = kind.value !== 'model';
  };
  kind.addEventListener('change', choose);
  choose();
  openForm({
    title: one ? t('editWhat', { name: schedules.titleOf(one) }) : t('newSchedule'),
    verb: t(one ? 'save' : 'create'),
    fields: [field(t('name'), name), field(t('rhythm'), rhythm, t('rhythmHint')), field(t('calls'), kind), ...forHttp, ...forModel],
    submit: async () => {
      const form: schedules.ScheduleForm = {
        name: name.value.trim(), rhythm: rhythm.value, kind: kind.value === 'model' ? 'model' : 'http',
        url: url.value.trim(), prompt: prompt.value.trim(), model: model.value.trim(),
      };
      if (schedules.idOf(form.name) === '') return t('nameNeeded');
      if (form.kind === 'model' && form.prompt === '') return t('promptNeeded');
      try {
        await (one ? schedules.changeSchedule(one.id, schedules.changes(one, form)) : schedules.createSchedule(form));
        done();
        return '';
      } catch (error) {
        return ctx.failure(error);
      }
    },
  });
}

// Schedules: what runs by itself, and when.

import { rest } from './api';

export interface LastRun {
  execution_id: string;
  status: string;
  severity: string | null;
  started_at: string;
  completed_at: string | null;
  duration_ms: number | null;
  error: string | null;
}

export interface Schedule {
  id: string;
  name: string | null;
  display_name: string | null;
  kind: 'http' | 'model';
  interval: string | null;
  cron: string | null;
  url: string | null;
  prompt: string | null;
  model: string | null;
  paused: boolean;
  running: boolean;
  last_run: LastRun | null;
  next_run_at: string | null;
}

export function listSchedules(): Promise<{ schedules: Schedule[]; total?: number }> {
  return rest('GET', 'schedules', { query: { limit: 500 } });
}

export interface ScheduleForm {
  name: string;
  rhythm: string;
  kind: 'http' | 'model';
  url: string;
  prompt: string;
  model: string;
}

export function titleOf(one: Schedule): string {
  return one.display_name || one.name || one.id;
}

export function createSchedule(form: ScheduleForm): Promise<Schedule> {
  const { name, kind, url, prompt, model } = form;
  const isHttp = kind === 'http';
  return rest('POST', 'schedules', {
    body: {
      id: idOf(name), name, display_name: name, ...readRhythm(form.rhythm),
      ...(isHttp ? (url ? { url } : {}) : { prompt }), ...(!isHttp && model ? { model } : {}),
    },
  });
}

// Only what is another than before: what a back end said of it and this page does not show stays.
export function changes(one: Schedule, form: ScheduleForm): Record<string, unknown> {
  const isHttp = form.kind === 'http';
  const wanted = {
    display_name: form.name, url: isHttp ? form.url : '', prompt: isHttp ? '' : form.prompt,
    model: isHttp ? '' : form.model,
  };
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const before = name === 'display_name' ? titleOf(one) : one[name as 'url' | 'prompt' | 'model'] ?? '';
    if (value !== before) fields[name] = value === '' ? null : value;
  }
  // Both names were the same where this page gave them.
  if ('display_name' in fields && one.name === one.display_name) fields['name'] = form.name;
  if (form.rhythm.trim() !== (one.interval ?? one.cron)) Object.assign(fields, readRhythm(form.rhythm));
  return fields;
}

export function changeSchedule(id: string, fields: Record<string, unknown>): Promise<Schedule> {
  return rest('PATCH', `schedules/${encodeURIComponent(id)}`, { body: fields });
}

// What its last run said: the execution keeps that.
export async function readOutput(executionId: string): Promise<string> {
  const run = await rest<{ metadata?: { output?: unknown } | null }>('GET', `runs/${encodeURIComponent(executionId)}`);
  const output = run.metadata?.output;
  return typeof output === 'string' ? output : output === undefined || output === null ? '' : JSON.stringify(output);
}

export function actOnSchedule(id: string, verb: 'pause' | 'resume' | 'run'): Promise<unknown> {
  return rest('POST', `schedules/${encodeURIComponent(id)}/${verb}`, { body: {} });
}

export function deleteSchedule(id: string): Promise<unknown> {
  return rest('DELETE', `schedules/${encodeURIComponent(id)}`);
}

// "5m" is an interval, five words are a cron line; anything else is left to the server to refuse.
export function readRhythm(text: string): { interval: string } | { cron: string } {
  const words = text.trim().split(/\s+/);
  return words.length > 1 ? { cron: words.join(' ') } : { interval: words[0] ?? '' };
}

// A name for the address, of what was called something by a person.
export function idOf(name: string): string {
  return name.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase()
    .replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60);
}

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

export function createSchedule(fields: Record<string, unknown>): Promise<Schedule> {
  return rest('POST', 'schedules', { body: fields });
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

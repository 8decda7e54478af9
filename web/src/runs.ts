// The ledger of executions: what may be asked of it, and what it answers.

import { rest, type Query } from './api';

export interface Run {
  id: string;
  kind: string;
  name: string | null;
  agent_id: string | null;
  agent_name: string | null;
  task_id: string | number | null;
  parent_id: string | null;
  method: string | null;
  status: string;
  attempt: number;
  former_status?: string; // of an attempt that another one took the place of
  severity: string | null;
  input?: unknown;
  result?: unknown;
  error: string | null;
  tokens_in: number | null;
  tokens_out: number | null;
  started_at: string | null;
  completed_at: string | null;
  duration_ms: number | null;
  lease_until: string | null;
  metadata?: unknown;
  created_at: string;
}

export interface Step {
  seq: number;
  name: string;
  status: string;
  started_at: string | null;
  completed_at: string | null;
  duration_ms: number | null;
  detail: unknown;
}

export interface RunWhole extends Run {
  steps?: Step[];
  attempts?: RunWhole[]; // the newest first, without what is large
}

export interface Stats {
  total: number;
  completed: number;
  failed: number;
  running: number;
  success_rate: number | null;
  average_duration_ms: number | null;
}

export interface Day {
  date: string;
  total: number;
  completed: number;
  failed: number;
}

export interface RunPage {
  runs: Run[];
  total: number;
  stats: Stats;
}

export interface RunStats {
  stats: Stats;
  per_day: Day[];
  agents: { agent_id: string; agent_name: string | null; total: number }[];
}

export const STATUSES = [
  'queued', 'running', 'completed', 'failed', 'cancelled', 'timeout', 'lost', 'superseded',
] as const;
export const METHODS = ['AGENT', 'USER', 'SYSTEM'] as const;
export const KINDS = ['agent', 'task', 'job', 'councilor', 'llm', 'custom'] as const;

export const FILTERS = ['from', 'to', 'agent', 'status', 'method', 'kind', 'q'] as const;
export type Filters = Record<(typeof FILTERS)[number], string>;

// From the address, so that a page can be reloaded, shared and gone back to.
export function readFilters(query: URLSearchParams): { filters: Filters; page: number } {
  const filters = Object.fromEntries(
    FILTERS.map((name) => [name, query.get(name)?.trim() ?? '']),
  ) as Filters;
  const page = Number(query.get('page') ?? '1');
  return { filters, page: Number.isSafeInteger(page) && page > 0 ? page : 1 };
}

export function isFiltered(filters: Filters): boolean {
  return FILTERS.some((name) => filters[name] !== '');
}

// A day as the visitor's clock has it, as the list shows its times; the server's own days are those of UTC.
function moment(day: string, ends: boolean): string | undefined {
  const ms = Date.parse(`${day}T${ends ? '23:59:59.999' : '00:00:00'}`);
  return Number.isFinite(ms) ? new Date(ms).toISOString() : day || undefined;
}

export function filterQuery(filters: Filters): Query {
  return {
    ...Object.fromEntries(FILTERS.map((name) => [name, filters[name] || undefined])),
    from: moment(filters.from, false), to: moment(filters.to, true),
  };
}

export const DAYS = 30;

// The chart shows its own days, whichever are asked for in the list.
export function statsQuery(filters: Filters): Query {
  return { ...filterQuery(filters), from: undefined, to: undefined, days: DAYS };
}

export function listRuns(filters: Filters, limit: number, offset: number): Promise<RunPage> {
  return rest('GET', 'runs', { query: { ...filterQuery(filters), limit, offset } });
}

export function readStats(filters: Filters): Promise<RunStats> {
  return rest('GET', 'runs/stats', { query: statsQuery(filters) });
}

export function readRun(id: string, attempt?: number): Promise<RunWhole> {
  return rest('GET', `runs/${encodeURIComponent(id)}`, { query: { attempt } });
}

export function actOnRun(id: string, verb: 'retry' | 'cancel'): Promise<Run> {
  return rest('POST', `runs/${encodeURIComponent(id)}/${verb}`, { body: {} });
}

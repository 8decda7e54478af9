// The server API and the metrics page, as any back end would use them.

import { authHeaders, readAccess } from './access';
import { publishBody } from './json';
import { Reading, parseMetrics } from './prometheus';

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: number, message: string) {
    super(message);
  }

  get unauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

// Answers of the API that mean "this channel does not keep that": not available, no such channel.
export const CODE_NOT_AVAILABLE = 108;

export interface Publication {
  data: unknown;
  type?: string;
  offset?: number;
  tags?: Record<string, string>;
  time?: number;
}

export interface History {
  publications: Publication[];
  offset: number;
  epoch: string;
}

export interface ClientInfo {
  client: string;
  user: string;
}

export interface Session {
  client: string;
  user: string;
  tenant: string;
  dialect: string;
  channels: number;
  address?: string;
  connected_ms: number;
}

interface Answer {
  result?: unknown;
  error?: { code?: number; message?: string } | null;
}

async function request(path: string, init: RequestInit): Promise<Response> {
  const headers = { ...authHeaders(readAccess()), ...(init.headers as Record<string, string>) };
  return fetch(path, { ...init, headers, cache: 'no-store', credentials: 'same-origin' });
}

async function read<T extends Answer>(answer: Response): Promise<T> {
  const text = await answer.text();
  let parsed = {} as T;
  try {
    if (text !== '') parsed = JSON.parse(text) as T;
  } catch {
    if (answer.ok) throw new ApiError(answer.status, 0, text.slice(0, 200));
  }
  // A row may have a text of its own called error; a refusal is an object, or a status.
  if (!answer.ok || (typeof parsed.error === 'object' && parsed.error !== null)) {
    const { code = 0, message = answer.statusText || String(answer.status) } = parsed.error ?? {};
    throw new ApiError(answer.status, code, message);
  }
  return parsed;
}

const JSON_BODY = { 'Content-Type': 'application/json' };

async function post<T>(method: string, body: string): Promise<T> {
  const answer = await request(`/api/${method}`, { method: 'POST', body, headers: JSON_BODY });
  return ((await read(answer)).result ?? {}) as T;
}

// "bad request: temperature: must be a number" speaks of a field; null when nothing does.
export function fieldAtFault(error: unknown, fields: readonly string[]): { field: string; why: string } | null {
  if (!(error instanceof ApiError) || error.status !== 400) return null;
  const [, field = '', why = ''] = /^(?:bad request: )?(\w+): (.+)$/s.exec(error.message) ?? [];
  return fields.includes(field) ? { field, why } : null;
}

export type Query = Record<string, string | number | undefined>;

export function withQuery(path: string, query: Query): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') asked.set(name, String(value));
  }
  const text = asked.toString();
  return text === '' ? path : `${path}?${text}`;
}

// The rows of the services: path below /api, the tenant of the visitor's choice.
export async function rest<T>(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string,
  { query = {}, body }: { query?: Query; body?: Record<string, unknown> } = {},
): Promise<T> {
  const { tenant } = readAccess();
  const answer = await request(withQuery(`/api/${path}`, { ...query, tenant }), {
    method,
    ...(body ? { body: JSON.stringify(tenant ? { ...body, tenant } : body), headers: JSON_BODY } : {}),
  });
  return (await read(answer)) as T;
}

// The names that the model's server gives; none when it does not answer.
export async function models(): Promise<string[]> {
  const answer = await request('/v1/models', {});
  const { data = [] } = await read<Answer & { data?: { id?: string }[] }>(answer);
  return data.flatMap(({ id }) => (id ? [id] : []));
}

function call<T>(method: string, params: Record<string, unknown>): Promise<T> {
  const { tenant } = readAccess();
  return post<T>(method, JSON.stringify(tenant ? { ...params, tenant } : params));
}

export function info(): Promise<unknown> {
  return call('info', {});
}

export async function metrics(): Promise<Reading> {
  const answer = await request('/metrics', {});
  if (!answer.ok) throw new ApiError(answer.status, 0, answer.statusText);
  return new Reading(parseMetrics(await answer.text()), performance.now());
}

export async function channels(pattern: string): Promise<[string, number][]> {
  const { channels: map = {} } = await call<{
    channels?: Record<string, { num_clients?: number }>;
  }>('channels', pattern ? { pattern } : {});
  return Object.entries(map).map(([name, value]) => [name, value.num_clients ?? 0]);
}

export async function presence(channel: string): Promise<ClientInfo[]> {
  const { presence: map = {} } = await call<{ presence?: Record<string, ClientInfo> }>(
    'presence', { channel },
  );
  return Object.values(map);
}

export async function presenceStats(channel: string): Promise<{ clients: number; users: number }> {
  const { num_clients = 0, num_users = 0 } = await call<{
    num_clients?: number;
    num_users?: number;
  }>('presence_stats', { channel });
  return { clients: num_clients, users: num_users };
}

// The newest first; since continues below an offset.
export async function history(
  channel: string, limit: number, since?: { offset: number; epoch: string },
): Promise<History> {
  const result = await call<Partial<History>>('history', {
    channel, limit, reverse: true, ...(since ? { since } : {}),
  });
  return {
    publications: result.publications ?? [],
    offset: result.offset ?? 0,
    epoch: result.epoch ?? '',
  };
}

export function publish(
  fields: { channel: string; type: string; tenant: string }, data: string,
): Promise<{ offset?: number; epoch?: string }> {
  return post('publish', publishBody(fields, data));
}

export async function sessions(limit: number): Promise<{ sessions: Session[]; total: number }> {
  const result = await call<{ sessions?: Session[]; total?: number }>('sessions', { limit });
  const list = result.sessions ?? [];
  return { sessions: list, total: result.total ?? list.length };
}

export function disconnect(session: Session): Promise<unknown> {
  const { client, user, tenant } = session;
  return post('disconnect', JSON.stringify({ user, client, ...(tenant ? { tenant } : {}) }));
}

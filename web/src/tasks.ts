// Tasks with their subtasks, as the orchestrator knows them.

import { rest, type Query } from './api';

export interface Task {
  id: number;
  title: string;
  description: string | null;
  status: string;
  priority: string;
  createdAt: string;
  updatedAt: string;
  completedAt: string | null;
}

export interface Subtask {
  id: number;
  taskId: number;
  title: string;
  description: string | null;
  prompt: string | null;
  result: string | null;
  status: string;
  reviewNotes: string | null;
}

export interface TaskWhole {
  task: Task;
  subtasks: Subtask[];
}

export const TASK_STATES = [
  'pending', 'planning', 'executing', 'validating', 'completed', 'failed', 'paused', 'in_progress', 'blocked', 'cancelled',
] as const;
export const SUBTASK_STATES = ['pending', 'executing', 'completed', 'failed', 'validating', 'rejected'] as const;
export const PRIORITIES = ['low', 'medium', 'high', 'urgent'] as const;

export const COLUMNS = ['columnTodo', 'columnDoing', 'columnDone', 'columnStopped'] as const;
export type ColumnName = (typeof COLUMNS)[number];

const PLACES: Record<string, ColumnName> = {
  planning: 'columnDoing', executing: 'columnDoing', validating: 'columnDoing', in_progress: 'columnDoing',
  completed: 'columnDone', failed: 'columnStopped', cancelled: 'columnStopped', paused: 'columnStopped',
  blocked: 'columnStopped',
};

// An unknown state is something to look at, so it stands in front.
export function columnOf(status: string): ColumnName {
  return PLACES[status] ?? 'columnTodo';
}

export function byUrgency(a: Task, b: Task): number {
  const rank = (task: Task): number => PRIORITIES.indexOf(task.priority as (typeof PRIORITIES)[number]);
  return rank(b) - rank(a) || b.id - a.id;
}

// The answer is a row, or a row with its subtasks beside it or inside it.
export function readWhole(answer: unknown): TaskWhole {
  const outer = answer as { task?: Task; subtasks?: Subtask[] };
  const task = outer.task ?? (answer as Task);
  return { task, subtasks: outer.subtasks ?? (task as Task & { subtasks?: Subtask[] }).subtasks ?? [] };
}

const BASE = 'orquestrador';

export function listTasks(query: Query): Promise<{ tasks: Task[]; total: number }> {
  return rest('GET', `${BASE}/tasks`, { query });
}

export async function readTask(id: string): Promise<TaskWhole> {
  return readWhole(await rest('GET', `${BASE}/tasks/${encodeURIComponent(id)}`));
}

export async function createTask(fields: Record<string, unknown>): Promise<TaskWhole> {
  return readWhole(await rest('POST', `${BASE}/tasks`, { body: fields }));
}

export function changeTask(id: number, fields: Record<string, unknown>): Promise<unknown> {
  return rest('PATCH', `${BASE}/tasks/${id}`, { body: fields });
}

export function deleteTask(id: number): Promise<unknown> {
  return rest('DELETE', `${BASE}/tasks/${id}`);
}

export function createSubtask(taskId: number, title: string): Promise<unknown> {
  return rest('POST', `${BASE}/tasks/${taskId}/subtasks`, { body: { title } });
}

export function changeSubtask(id: number, fields: Record<string, unknown>): Promise<unknown> {
  return rest('PATCH', `${BASE}/subtasks/${id}`, { body: fields });
}

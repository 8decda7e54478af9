// Conversations and their messages, as the server keeps them.

import { rest } from './api';

export interface Conversation {
  id: number;
  title: string | null;
  system_prompt: string | null;
  model: string | null;
  message_count: number;
  last_message: unknown;
  created_at: string;
  updated_at: string;
}

export interface Settings {
  model: string;
  temperature: string;
  max_tokens: string;
  system: string;
}

export interface Talk {
  settings: Settings; // kept from one conversation to the next
  readonly drafts: Map<number | null, string>; // by conversation; null is the one to be
  begun: number | null; // with the first message, whose writer goes on writing
}

export interface Sent {
  conversation_id: number;
  channel: string;
  message: unknown;
  answer: unknown;
}

export const NO_SETTINGS: Readonly<Settings> = { model: '', temperature: '', max_tokens: '', system: '' };

const TITLE_MAX = 60;

// What a conversation without a title is called: its first line.
export function titleOf(message: string): string {
  const line = message.trim().split('\n')[0]?.replace(/^[#>*\s-]+/, '').trim() ?? '';
  if (line.length <= TITLE_MAX) return line;
  const cut = line.slice(0, TITLE_MAX);
  const space = cut.lastIndexOf(' ');
  return `${(space > TITLE_MAX / 2 ? cut.slice(0, space) : cut).trimEnd()}…`;
}

// The beginning of a message for a list: its words, without the marks of Markdown.
export function plainLine(markdown: string, max: number): string {
  return markdown.slice(0, max * 4)
    .replace(/^\s*(```|~~~).*$/gm, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/^\s*(#{1,6}|>|[-*+]|\|)\s*/gm, '')
    .replace(/(\*\*|__|`)/g, '')
    .replace(/\s+/g, ' ').trim().slice(0, max);
}

// Numbers with a comma or a point; what is empty, and what is none, is left to the server.
export function sendBody(
  conversationId: number, message: string, settings: Settings,
): Record<string, unknown> {
  const number = (text: string): number | string | undefined => {
    if (text.trim() === '') return undefined;
    const value = Number(text.trim().replace(',', '.'));
    return Number.isFinite(value) ? value : text.trim();
  };
  const body: Record<string, unknown> = { conversation_id: conversationId, message };
  const temperature = number(settings.temperature);
  const tokens = number(settings.max_tokens);
  if (temperature !== undefined) body['temperature'] = temperature;
  if (tokens !== undefined) body['max_tokens'] = tokens;
  if (settings.model.trim() !== '') body['model'] = settings.model.trim();
  if (settings.system.trim() !== '') body['system'] = settings.system.trim();
  return body;
}

export function listConversations(
  limit: number, offset: number,
): Promise<{ conversations: Conversation[]; total: number }> {
  return rest('GET', 'chat/conversations', { query: { limit, offset } });
}

export function createConversation(fields: {
  title: string; model?: string; system_prompt?: string;
}): Promise<Conversation> {
  return rest('POST', 'chat/conversations', { body: { ...fields } });
}

export function readConversation(id: number): Promise<Conversation> {
  return rest('GET', `chat/conversations/${id}`);
}

export function changeConversation(
  id: number, fields: Partial<Pick<Conversation, 'title' | 'model' | 'system_prompt'>>,
): Promise<Conversation> {
  return rest('PATCH', `chat/conversations/${id}`, { body: { ...fields } });
}

export function deleteConversation(id: number): Promise<unknown> {
  return rest('DELETE', `chat/conversations/${id}`);
}

export function readMessages(
  id: number, limit: number, before?: string,
): Promise<{ messages: unknown[]; has_more: boolean }> {
  return rest('GET', `chat/conversations/${id}/messages`, { query: { limit, before } });
}

export function sendMessage(id: number, message: string, settings: Settings): Promise<Sent> {
  return rest('POST', 'chat', { body: sendBody(id, message, settings) });
}

export function cancelAnswer(id: number): Promise<{ cancelled: number }> {
  return rest('POST', 'chat/cancel', { body: { conversation_id: id } });
}

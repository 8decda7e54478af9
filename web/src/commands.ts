// The same action as a command to copy into a terminal.

import { publishBody } from './json';

export interface PublishFields {
  channel: string;
  type: string;
  tenant: string;
  data: string;
}

// Safe in sh, bash and zsh: single quotes, except around plain words.
export function quote(text: string): string {
  if (text !== '' && /^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

function oneLine(data: string): string {
  return data.trim().replace(/\s*\n\s*/g, ' ');
}

export function curlCommand(origin: string, fields: PublishFields, withKey: boolean): string {
  const { channel, type, tenant } = fields;
  const body = publishBody({ channel, type, tenant }, oneLine(fields.data));
  const key = withKey ? ` \\\n  -H "X-API-Key: $RECADO_API_KEY"` : '';
  return `curl ${quote(`${origin}/api/publish`)}${key} \\\n  -d ${quote(body)}`;
}

export function recadoCommand(origin: string, fields: PublishFields, withKey: boolean): string {
  const words = ['recado publish'];
  if (origin !== 'http://127.0.0.1:8000') words.push(`--server ${quote(origin)}`);
  if (withKey) words.push('--api-key "$RECADO_API_KEY"');
  if (fields.tenant) words.push(`--tenant ${quote(fields.tenant)}`);
  words.push(`--channel ${quote(fields.channel)}`);
  if (fields.type) words.push(`--type ${quote(fields.type)}`);
  words.push(quote(oneLine(fields.data)));
  return words.join(' ');
}

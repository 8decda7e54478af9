// What the live view shows: a channel pattern, a type and a piece of text, all optional.

export interface LiveEvent {
  key: number;
  channel: string;
  type: string;
  data: string;
  offset: number | null;
  tags: Record<string, string>;
  atMs: number;
}

export interface Filter {
  channel: string;
  type: string;
  text: string;
}

export function hasWildcard(pattern: string): boolean {
  return pattern.includes('*');
}

// "project:*" as a pattern; a name without a star matches as a part of the channel's name.
export function matchChannel(pattern: string, channel: string): boolean {
  if (!hasWildcard(pattern)) return channel.toLowerCase().includes(pattern.toLowerCase());
  const parts = pattern.toLowerCase().split('*');
  const name = channel.toLowerCase();
  const first = parts[0] ?? '';
  const last = parts[parts.length - 1] ?? '';
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}

export function matchEvent(filter: Filter, event: LiveEvent): boolean {
  const channel = filter.channel.trim();
  const type = filter.type.trim().toLowerCase();
  const text = filter.text.trim().toLowerCase();
  if (channel && !matchChannel(channel, event.channel)) return false;
  if (type && !event.type.toLowerCase().includes(type)) return false;
  if (!text) return true;
  return event.data.toLowerCase().includes(text) || event.channel.toLowerCase().includes(text);
}

// What to ask the server for when somebody types a part of a name.
export function toPattern(text: string): string {
  const wanted = text.trim();
  return wanted === '' || hasWildcard(wanted) ? wanted : `*${wanted}*`;
}

// The channel that somebody may mean who typed a whole name and finds it in no list; '': none.
export function toOpen(text: string, listed: readonly string[]): string {
  const name = text.trim();
  return hasWildcard(name) || listed.includes(name) ? '' : name;
}

// "a, b c" as channel names, each once.
export function splitChannels(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((name) => name !== ''))];
}

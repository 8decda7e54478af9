// The messages of one conversation, put together from stored rows, from whole messages that arrive
// (chat:message) and from the pieces of the one that is being written (chat:append).
//
// Each source may be late. The pieces carry a number, so that none counts twice and a missing one is
// noticed; a finished message never turns unfinished again.

export type State = 'streaming' | 'complete' | 'cancelled' | 'failed';

export interface Message {
  id: string;
  role: string;
  content: string;
  state: State;
  model: string;
  error: string;
  atMs: number;
  seq: number | null; // of the last piece in the content; null when it is a stored row's
}

export type Change = 'none' | 'changed' | 'gap';

const STATES: readonly State[] = ['streaming', 'complete', 'cancelled', 'failed'];

function readText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function readId(value: unknown): string {
  return typeof value === 'number' || typeof value === 'string' ? String(value) : '';
}

// Null for what is no message.
export function readMessage(value: unknown): Message | null {
  if (typeof value !== 'object' || value === null) return null;
  const row = value as Record<string, unknown>;
  const id = readId(row['id']);
  if (id === '' || typeof row['content'] !== 'string') return null;
  const state = STATES.find((known) => known === row['state']) ?? 'complete';
  return {
    id,
    role: readText(row['role']) || 'assistant',
    content: row['content'],
    state,
    model: readText(row['model']),
    error: readText(row['error']),
    atMs: Date.parse(readText(row['created_at']) || readText(row['timestamp'])),
    seq: typeof row['seq'] === 'number' && state === 'streaming' ? row['seq'] : null,
  };
}

// Ids that are numbers grow with time; others stay in the order of their arrival.
function isBefore(a: string, b: string): boolean {
  return /^\d+$/.test(a) && /^\d+$/.test(b) && Number(a) < Number(b);
}

export class Thread {
  readonly messages: Message[] = [];
  private readonly byId = new Map<string, Message>();

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  // The answer that is being written, or else the next one to be.
  get streaming(): Message | undefined {
    return this.messages.find((message) => message.state === 'streaming');
  }

  // Stored rows, which may be older than what has arrived meanwhile.
  addRows(rows: readonly unknown[]): void {
    for (const row of rows) {
      const message = readMessage(row);
      if (message) this.put({ ...message, seq: null });
    }
  }

  apply(type: string, data: unknown): Change {
    if (type === 'chat:append') return this.append(data);
    if (type !== 'chat:message') return 'none';
    const message = readMessage(data);
    return message && this.put(message) ? 'changed' : 'none';
  }

  private put(fresh: Message): boolean {
    const old = this.byId.get(fresh.id);
    if (!old) {
      this.byId.set(fresh.id, fresh);
      let at = this.messages.length;
      while (at > 0 && isBefore(fresh.id, this.messages[at - 1]?.id ?? '')) at -= 1;
      this.messages.splice(at, 0, fresh);
      return true;
    }
    if (isStale(old, fresh)) return false;
    Object.assign(old, fresh, {
      model: fresh.model || old.model,
      atMs: Number.isFinite(old.atMs) ? old.atMs : fresh.atMs,
    });
    return true;
  }

  private append(data: unknown): Change {
    if (typeof data !== 'object' || data === null) return 'none';
    const piece = data as Record<string, unknown>;
    const { seq, text } = piece;
    if (typeof seq !== 'number' || typeof text !== 'string') return 'none';
    const message = this.byId.get(readId(piece['id']));
    if (message && message.state !== 'streaming') return 'none';
    if (!message || message.seq === null || seq > message.seq + 1) return 'gap';
    if (seq <= message.seq) return 'none';
    message.content += text;
    message.seq = seq;
    return 'changed';
  }
}

function isStale(old: Message, fresh: Message): boolean {
  if (fresh.state !== 'streaming') return false;
  if (old.state !== 'streaming') return true;
  return (fresh.seq ?? -1) < (old.seq ?? -1);
}

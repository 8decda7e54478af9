import { Centrifuge } from 'centrifuge';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Live, keepNames, toEvent } from '../src/live';

// A WebSocket that plays a server: answers connect and subscribe, then sends what it is told.
class FakeSocket {
  static last: FakeSocket | null = null;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  binaryType = 'blob';
  readonly commands: string[] = [];

  constructor() {
    FakeSocket.last = this;
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string): void {
    for (const line of text.split('\n')) {
      const command = JSON.parse(line) as {
        id?: number; connect?: object; subscribe?: { channel: string }; unsubscribe?: { channel: string };
      };
      if (command.subscribe) this.commands.push(`+${command.subscribe.channel}`);
      if (command.unsubscribe) {
        this.commands.push(`-${command.unsubscribe.channel}`);
        this.say({ id: command.id, unsubscribe: {} });
      }
      if (command.connect) this.say({ id: command.id, connect: { client: 'c1', version: '1' } });
      if (command.subscribe) this.say({ id: command.id, subscribe: {} });
    }
  }

  say(message: object): void {
    queueMicrotask(() => this.onmessage?.({ data: JSON.stringify(message) }));
  }

  close(): void {
    queueMicrotask(() => this.onclose?.());
  }
}

describe('keepNames', () => {
  it('gives publications of a namespace their own channel, type and time', async () => {
    const client = new Centrifuge('ws://hub.test/connection/websocket', { websocket: FakeSocket });
    keepNames(client);
    const subscription = client.newSubscription('project:*');
    const arrived = new Promise<ReturnType<typeof toEvent>>((resolve) => {
      subscription.on('publication', (pub) => resolve(toEvent(pub, 5)));
    });
    subscription.subscribe();
    client.connect();
    await subscription.ready();
    FakeSocket.last?.say({
      push: {
        channel: 'project:*',
        pub: {
          channel: 'project:7', data: { a: 1 }, offset: 3, time: 1700000000123,
          tags: { type: 'story.updated', by: 'ana' },
        },
      },
    });
    expect(await arrived).toMatchObject({
      channel: 'project:7', type: 'story.updated', data: '{"a":1}', offset: 3,
      tags: { by: 'ana' }, atMs: 1700000000123,
    });
    client.disconnect();
  });
});

describe('toEvent', () => {
  it('takes the type of a history too', () => {
    expect(toEvent({ channel: 'a', data: 1, type: 't', tags: { x: 'y' } }, 5)).toMatchObject({
      type: 't', tags: { x: 'y' },
    });
  });

  it('falls back to the subscription and to now', () => {
    expect(toEvent({ channel: 'a', data: null }, 5)).toMatchObject({
      channel: 'a', type: '', data: 'null', offset: null, atMs: 5,
    });
  });
});

describe('Live', () => {
  beforeEach(() => {
    vi.stubGlobal('location', { protocol: 'http:', host: 'hub.test' });
    vi.stubGlobal('sessionStorage', { getItem: () => null });
    vi.stubGlobal('WebSocket', FakeSocket);
  });
  afterEach(() => vi.unstubAllGlobals());

  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
  const publish = (channel: string, type: string, data: unknown): void =>
    FakeSocket.last?.say({ push: { channel, pub: { data, tags: { type } } } });

  it('gives watchers their channel, and the live view what it follows', async () => {
    const live = new Live();
    const seen: string[] = [];
    live.onEvent = (event) => seen.push(`follow ${event.channel}`);
    const watcher = { event: (type: string, data: unknown) => seen.push(`${type} ${JSON.stringify(data)}`), subscribed: () => seen.push('ready') };
    const early = live.watch('runs', watcher);
    live.start(['*']);
    await vi.waitFor(() => expect(seen).toEqual(['ready']));
    publish('runs', 'run:update', { id: 1 });
    publish('*', 'x', 1);
    await vi.waitFor(() => expect(seen).toEqual(['ready', 'run:update {"id":1}', 'follow *']));

    // Another one of the same channel shares the subscription and is told at once.
    const second = live.watch('runs', { event: () => undefined, subscribed: () => seen.push('second') });
    await vi.waitFor(() => expect(seen.at(-1)).toBe('second'));
    second();
    live.follow(['runs']);
    await settled();
    publish('runs', 'run:update', 2);
    await vi.waitFor(() => expect(seen.slice(-2)).toEqual(['follow runs', 'run:update 2']));
    early();
    publish('runs', 'run:update', 3);
    await vi.waitFor(() => expect(seen.at(-1)).toBe('follow runs'));
    live.follow([]);
    await settled();
    expect(FakeSocket.last?.commands.sort()).toEqual(['+*', '+runs', '-*', '-runs']);
    live.stop();
  });

  it('leaves readings and log lines out of everything, unless they are followed by name', async () => {
    const live = new Live();
    const seen: string[] = [];
    live.onEvent = (event) => seen.push(`${event.channel} ${event.data}`);
    live.start(['*', 'logs']);
    await vi.waitFor(() => expect(live.following.size).toBe(2));
    const all = (channel: string, data: number): void =>
      FakeSocket.last?.say({ push: { channel: '*', pub: { channel, data } } });
    all('monitor', 1);
    all('logs', 2);
    publish('logs', '', 3);
    all('logs:shop', 4);
    await vi.waitFor(() => expect(seen).toEqual(['logs 3', 'logs:shop 4']));
    live.stop();
  });

  it('asks anew for what is being written', async () => {
    const live = new Live();
    let readyCount = 0;
    live.start([]);
    live.watch('chat:1', { event: () => undefined, subscribed: () => { readyCount += 1; } });
    await vi.waitFor(() => expect(readyCount).toBe(1));
    expect(live.isLive('chat:1')).toBe(true);
    live.refresh('chat:1');
    expect(live.isLive('chat:1')).toBe(false);
    await vi.waitFor(() => expect(readyCount).toBe(2));
    expect(FakeSocket.last?.commands).toEqual(['+chat:1', '-chat:1', '+chat:1']);
    live.stop();
  });

  it('survives a watcher that fails', async () => {
    const live = new Live();
    const seen: unknown[] = [];
    vi.stubGlobal('reportError', () => seen.push('reported'));
    let failing = true;
    live.watch('a', { event: (_, data) => {
      if (failing) throw new Error('broken');
      seen.push(data);
    } });
    live.start([]);
    await vi.waitFor(() => expect(live.isLive('a')).toBe(true));
    publish('a', 't', 1);
    await vi.waitFor(() => expect(seen).toEqual(['reported']));
    failing = false;
    publish('a', 't', 2);
    await vi.waitFor(() => expect(seen).toEqual(['reported', 2]));
    live.stop();
  });
});

import { Centrifuge } from 'centrifuge';
import { describe, expect, it } from 'vitest';
import { keepNames, toEvent } from '../src/live';

// A WebSocket that plays a server: answers connect and subscribe, then sends what it is told.
class FakeSocket {
  static last: FakeSocket | null = null;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  binaryType = 'blob';

  constructor() {
    FakeSocket.last = this;
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string): void {
    for (const line of text.split('\n')) {
      const command = JSON.parse(line) as { id?: number; connect?: object; subscribe?: object };
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

// Live events over the native dialect. Subscriptions to a whole namespace or to everything get
// publications that name their own channel.

import { Centrifuge, UnauthorizedError, type PublicationContext } from 'centrifuge';
import { readAccess } from './access';
import type { LiveEvent } from './filter';

export type LiveState = 'connecting' | 'connected' | 'disconnected' | 'refused';

export interface WirePublication {
  data: unknown;
  channel?: string;
  time?: number;
  offset?: number;
  tags?: Record<string, string>;
}

interface NamedPublication extends PublicationContext {
  type?: string; // beside the tags in a history, a tag in a live event
  time?: number;
}

type Builder = (channel: string, pub: WirePublication) => NamedPublication;

// The library leaves a publication's own channel and time out of what it hands on; here they are
// kept. A test watches that the library still builds its publications in this one place.
export function keepNames(client: object): void {
  const inner = client as { _getPublicationContext: Builder };
  const build = inner._getPublicationContext.bind(client);
  inner._getPublicationContext = (channel, pub) => {
    const context = build(pub.channel ?? channel, pub);
    if (pub.time !== undefined) context.time = pub.time;
    return context;
  };
}

let nextKey = 0;

export function toEvent(pub: NamedPublication, nowMs: number): LiveEvent {
  const { type = pub.type ?? '', ...tags } = pub.tags ?? {};
  nextKey += 1;
  return {
    key: nextKey,
    channel: pub.channel,
    type,
    data: JSON.stringify(pub.data) ?? '',
    offset: pub.offset ?? null,
    tags,
    atMs: pub.time ?? nowMs,
  };
}

export class Live {
  state: LiveState = 'disconnected';
  reason = '';
  clientId = '';
  onEvent: (event: LiveEvent) => void = () => undefined;
  onState: () => void = () => undefined;
  // One line per followed channel that the server refused.
  readonly refusals = new Map<string, string>();
  // The channels that the server confirmed.
  readonly following = new Set<string>();
  private client: Centrifuge | null = null;

  start(names: string[]): void {
    this.stop();
    const access = readAccess();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const client = new Centrifuge(`${scheme}://${location.host}/connection/websocket`, {
      name: 'recado-console',
      minReconnectDelay: 500,
      maxReconnectDelay: 5000,
      ...(access.token
        ? { token: access.token, getToken: () => Promise.reject(new UnauthorizedError('expired')) }
        : {}),
      ...(access.apiKey ? { headers: { 'X-API-Key': access.apiKey } } : {}),
    });
    keepNames(client);
    client.on('connecting', () => this.set('connecting', ''));
    client.on('connected', (context) => {
      this.clientId = context.client;
      this.set('connected', '');
    });
    client.on('disconnected', ({ code, reason }) =>
      this.set(code >= 3500 || code === 1 ? 'refused' : 'disconnected', reason));
    client.on('error', ({ error }) => {
      this.reason = error.message;
      this.onState();
    });
    this.client = client;
    this.follow(names);
    client.connect();
  }

  stop(): void {
    const client = this.client;
    this.client = null;
    client?.removeAllListeners();
    client?.disconnect();
    this.refusals.clear();
    this.following.clear();
    this.set('disconnected', '');
  }

  follow(names: string[]): void {
    const client = this.client;
    if (!client) return;
    this.refusals.clear();
    this.following.clear();
    for (const subscription of Object.values(client.subscriptions())) {
      subscription.removeAllListeners();
      subscription.unsubscribe();
      client.removeSubscription(subscription);
    }
    for (const name of names) this.subscribe(client, name);
    this.onState();
  }

  get started(): boolean {
    return this.client !== null;
  }

  private subscribe(client: Centrifuge, name: string): void {
    const subscription = client.newSubscription(name);
    const refuse = (message: string): void => {
      this.refusals.set(name, message);
      this.onState();
    };
    subscription.on('publication', (pub) => this.onEvent(toEvent(pub, Date.now())));
    subscription.on('unsubscribed', ({ reason }) => refuse(reason));
    subscription.on('subscribing', () => this.following.delete(name));
    subscription.on('error', ({ error }) => refuse(error.message));
    subscription.on('subscribed', () => {
      this.refusals.delete(name);
      this.following.add(name);
      this.onState();
    });
    subscription.subscribe();
  }

  private set(state: LiveState, reason: string): void {
    this.state = state;
    this.reason = reason;
    this.onState();
  }
}

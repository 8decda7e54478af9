// Live events over the native dialect. Subscriptions to a whole namespace or to everything get
// publications that name their own channel.

import {
  Centrifuge, UnauthorizedError, type PublicationContext, type Subscription,
} from 'centrifuge';
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

// The server's own readings and lines, and those that back ends send: they have pages of their own, and
// among everything they would bury what somebody waits for.
const QUIET: readonly string[] = ['monitor', 'logs'];

// Somebody who looks at one channel, whatever the live view follows.
export interface Watcher {
  event(type: string, data: unknown): void;
  // The server confirmed the channel: at first, and after every break.
  subscribed?(): void;
}

// For a page that reads its rows anew: what changed before the channel was confirmed came as no event.
export function reads(again: () => void): Watcher {
  return { event: again, subscribed: again };
}

interface Followed {
  subscription: Subscription;
  confirmed: boolean;
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
  private followed: readonly string[] = [];
  private readonly watchers = new Map<string, Set<Watcher>>();
  private readonly open = new Map<string, Followed>();

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
    this.open.clear();
    this.refusals.clear();
    this.following.clear();
    this.set('disconnected', '');
  }

  follow(names: string[]): void {
    this.followed = names;
    this.refusals.clear();
    this.settle();
    this.following.clear();
    for (const name of names) if (this.open.get(name)?.confirmed) this.following.add(name);
    this.onState();
  }

  // Until the function that it returns is called.
  watch(channel: string, watcher: Watcher): () => void {
    const circle = this.watchers.get(channel) ?? new Set();
    this.watchers.set(channel, circle.add(watcher));
    this.settle();
    if (this.open.get(channel)?.confirmed) queueMicrotask(() => this.tell(channel, watcher));
    return () => {
      circle.delete(watcher);
      if (circle.size === 0 && this.watchers.get(channel) === circle) this.watchers.delete(channel);
      this.settle();
    };
  }

  isLive(channel: string): boolean {
    return this.state === 'connected' && this.open.get(channel)?.confirmed === true;
  }

  // Subscribes anew: what is being written comes whole again.
  refresh(channel: string): void {
    this.close(channel);
    this.settle();
  }

  get started(): boolean {
    return this.client !== null;
  }

  // Each wanted channel has one subscription, and no other has any.
  private settle(): void {
    const client = this.client;
    if (!client) return;
    const wanted = new Set([...this.followed, ...this.watchers.keys()]);
    for (const name of [...this.open.keys()]) if (!wanted.has(name)) this.close(name);
    for (const name of wanted) if (!this.open.has(name)) this.subscribe(client, name);
  }

  private close(name: string): void {
    const subscription = this.open.get(name)?.subscription;
    this.open.delete(name);
    if (!subscription) return;
    subscription.removeAllListeners();
    subscription.unsubscribe();
    this.client?.removeSubscription(subscription);
  }

  private subscribe(client: Centrifuge, name: string): void {
    const subscription = client.newSubscription(name);
    const state: Followed = { subscription, confirmed: false };
    this.open.set(name, state);
    const refuse = (message: string): void => {
      state.confirmed = false;
      if (this.followed.includes(name)) this.refusals.set(name, message);
      this.onState();
    };
    subscription.on('publication', (pub) => this.arrived(name, pub));
    subscription.on('unsubscribed', ({ reason }) => refuse(reason));
    subscription.on('subscribing', () => {
      state.confirmed = false;
      this.following.delete(name);
    });
    subscription.on('error', ({ error }) => refuse(error.message));
    subscription.on('subscribed', () => {
      state.confirmed = true;
      this.refusals.delete(name);
      if (this.followed.includes(name)) this.following.add(name);
      for (const watcher of this.watchers.get(name) ?? []) this.tell(name, watcher);
      this.onState();
    });
    subscription.subscribe();
  }

  private tell(channel: string, watcher: Watcher): void {
    if (this.watchers.get(channel)?.has(watcher)) watcher.subscribed?.();
  }

  private arrived(name: string, pub: NamedPublication): void {
    const quiet = name === '*' && QUIET.includes(pub.channel);
    if (this.followed.includes(name) && !quiet) this.onEvent(toEvent(pub, Date.now()));
    const type = pub.tags?.['type'] ?? pub.type ?? '';
    for (const watcher of this.watchers.get(name) ?? []) {
      try {
        watcher.event(type, pub.data);
      } catch (error) {
        reportError(error); // the library would end the connection of all for the fault of one
      }
    }
  }

  private set(state: LiveState, reason: string): void {
    this.state = state;
    this.reason = reason;
    this.onState();
  }
}

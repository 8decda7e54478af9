// What the views share. It outlives them: a change of language builds the views anew and keeps this.

import { EventLog } from './events';
import { Figures } from './figures';
import { Live } from './live';
import type { PublishFields } from './commands';
import type { Talk } from './conversations';
import type { Route } from './route';

export interface View {
  readonly node: HTMLElement;
  // Called after every reading of the metrics.
  figures?(): void;
  // Called while events arrive, once for many of them.
  events?(): void;
  // Called when the live connection changed.
  state?(): void;
  theme?(): void;
  // Another name of the same page; false asks for a new view.
  route?(route: Route): boolean;
  destroy?(): void;
}

export const SAMPLE: Readonly<Record<'channel' | 'type' | 'data', string>> = {
  channel: 'demo:hello',
  type: 'message.new',
  data: '{"text": "Hello from Recado"}',
};

export interface Context {
  readonly figures: Figures;
  readonly log: EventLog;
  readonly live: Live;
  readonly known: Set<string>; // channel names seen or used here
  draft: PublishFields;
  follow: string;
  talk?: Talk; // what was typed to the model and not yet sent
  announce(text: string): void;
  go(route: string): void;
  openAccess(): void;
  failure(error: unknown): string;
  // The number of waiting approvals may have changed.
  countWaiting(): void;
}

export function createContext(
  calls: Pick<Context, 'announce' | 'go' | 'openAccess' | 'failure' | 'countWaiting'>,
): Context {
  return {
    figures: new Figures(),
    log: new EventLog(),
    live: new Live(),
    known: new Set(),
    draft: { ...SAMPLE, tenant: '' } as PublishFields,
    follow: '*',
    ...calls,
  };
}

// The last events that arrived, bounded; a pause holds the view still, not the stream.

import { matchEvent, type Filter, type LiveEvent } from './filter';

export const KEPT_MAX = 500;
export const SHOWN_MAX = 200;

export class EventLog {
  filter: Filter = { channel: '', type: '', text: '' };
  paused = false;
  waitingCount = 0;
  totalCount = 0;
  private kept: LiveEvent[] = [];
  private frozen: LiveEvent[] | null = null;

  add(event: LiveEvent): void {
    this.totalCount += 1;
    this.kept.push(event);
    // Cut in blocks: at high rates a shift for each event would cost more than the event.
    if (this.kept.length > KEPT_MAX * 2) this.kept = this.kept.slice(-KEPT_MAX);
    if (this.paused) this.waitingCount += 1;
  }

  pause(on: boolean): void {
    this.paused = on;
    this.waitingCount = 0;
    this.frozen = on ? this.kept.slice(-KEPT_MAX) : null;
  }

  clear(): void {
    this.kept = [];
    this.totalCount = 0;
    this.waitingCount = 0;
    if (this.frozen) this.frozen = [];
  }

  get keptCount(): number {
    return Math.min(this.kept.length, KEPT_MAX);
  }

  // The newest first.
  shown(): LiveEvent[] {
    const source = this.frozen ?? this.kept.slice(-KEPT_MAX);
    const matching: LiveEvent[] = [];
    for (let i = source.length - 1; i >= 0 && matching.length < SHOWN_MAX; i -= 1) {
      const event = source[i];
      if (event && matchEvent(this.filter, event)) matching.push(event);
    }
    return matching;
  }
}

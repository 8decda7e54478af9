// Keeps five minutes of readings as the series that the charts draw.

import { Reading, histogramDelta, quantile, rate } from './prometheus';

export const KEPT_COUNT = 150;

export type Value = number | null;

export interface Point {
  atMs: number;
  sessions: Value;
  deliveries: Value;
  publishes: Value;
  p50: Value;
  p99: Value;
  memory: Value;
  bytesIn: Value;
  bytesOut: Value;
}

export interface Snapshot {
  dialects: [string, number][];
  loops: [string, Value][];
  closes: [string, number][];
  channels: Value;
  subscriptions: Value;
  connections: Value;
  queueBytes: Value;
  uptimeSeconds: Value;
  version: string | null;
}

function bySize(counts: Map<string, number>): [string, number][] {
  return [...counts].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

export class Figures {
  readonly points: Point[] = [];
  snapshot: Snapshot | null = null;
  private last: Reading | null = null;

  push(reading: Reading): void {
    const before = this.last;
    const seconds = before ? (reading.atMs - before.atMs) / 1000 : 0;
    const growth = (name: string): Value =>
      rate(before?.sum(name) ?? null, reading.sum(name), seconds);
    const latency = before
      ? histogramDelta(before, reading, 'recado_publish_to_write_seconds_bucket')
      : [];
    this.points.push({
      atMs: reading.atMs,
      // A dialect without sessions is not listed.
      sessions: reading.sum('recado_sessions') ?? (reading.all('recado_info').length > 0 ? 0 : null),
      deliveries: growth('recado_deliveries_total'),
      publishes: growth('recado_publishes_total'),
      p50: quantile(0.5, latency),
      p99: quantile(0.99, latency),
      memory: reading.sum('recado_memory_bytes'),
      bytesIn: growth('recado_bytes_in_total'),
      bytesOut: growth('recado_bytes_out_total'),
    });
    if (this.points.length > KEPT_COUNT) this.points.shift();
    this.snapshot = {
      dialects: bySize(reading.by('recado_sessions', 'dialect')),
      loops: this.loops(before, reading, seconds),
      closes: bySize(reading.by('recado_closes_total', 'reason')),
      channels: reading.sum('recado_channels'),
      subscriptions: reading.sum('recado_subscriptions'),
      connections: reading.sum('recado_connections'),
      queueBytes: reading.sum('recado_queue_bytes'),
      uptimeSeconds: reading.sum('recado_uptime_seconds'),
      version: reading.all('recado_info')[0]?.labels['version'] ?? null,
    };
    this.last = reading;
  }

  latest(): Point | null {
    return this.points[this.points.length - 1] ?? null;
  }

  private loops(before: Reading | null, reading: Reading, seconds: number): [string, Value][] {
    const name = 'recado_loop_busy_seconds_total';
    const earlier = before?.by(name, 'loop');
    return [...reading.by(name, 'loop')]
      .sort((a, b) => a[0].localeCompare(b[0], 'en', { numeric: true }))
      .map(([loop, busy]) => {
        const share = rate(earlier?.get(loop) ?? null, busy, seconds);
        return [loop, share === null ? null : Math.min(1, share)];
      });
  }
}

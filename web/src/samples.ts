// The machine's figures over a while: kept readings from the server, and the live ones behind them.

import { rest } from './api';

export interface Sample {
  time: number;
  cpu: number | null;
  memory: number | null;
  disk: number | null;
  rx: number | null;
  tx: number | null;
  gpu: number | null;
  temperature: number | null;
}

export interface History {
  interval_ms: number;
  step_ms: number;
  samples: Sample[];
}

export interface Now {
  cpu?: { usage?: number; temperature?: number | null; cores?: number };
  memory?: { total?: number; used?: number; usagePercent?: number };
  disk?: { total?: number; used?: number; usagePercent?: number };
  network?: { rx?: number; tx?: number };
  gpu?: { model?: string; utilization?: number | null; vramUsed?: number; vramTotal?: number }[];
}

export type Range = '1h' | '24h';

// How many seconds of readings become one point: a chart has room for a few hundred.
export const STEPS: Record<Range, { spanMs: number; step: string }> = {
  '1h': { spanMs: 3_600_000, step: '10s' },
  '24h': { spanMs: 86_400_000, step: '2m' },
};

export function readHistory(range: Range): Promise<History> {
  return rest('GET', 'monitor/history', { query: { range, step: STEPS[range].step } });
}

export function readNow(): Promise<Now> {
  return rest('GET', 'monitor');
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function toSample(now: Now, time: number): Sample {
  return {
    time,
    cpu: number(now.cpu?.usage),
    memory: number(now.memory?.usagePercent),
    disk: number(now.disk?.usagePercent),
    rx: number(now.network?.rx),
    tx: number(now.network?.tx),
    gpu: number(now.gpu?.[0]?.utilization),
    temperature: number(now.cpu?.temperature),
  };
}

const GAP_STEPS = 2.5;

// One more at the end, if its step has come; what left the span goes.
export function addSample(list: readonly Sample[], fresh: Sample, stepMs: number, spanMs: number): Sample[] {
  const last = list[list.length - 1];
  if (last && fresh.time - last.time < stepMs * 0.9) return [...list];
  return [...list, fresh].filter((sample) => sample.time > fresh.time - spanMs);
}

export type Column = (sample: Sample) => number | null;

// The points of a chart. A time without readings stays empty: a line across it would say what nobody
// measured.
export function columns(
  list: readonly Sample[], stepMs: number, pick: readonly Column[],
): { xs: number[]; ys: (number | null)[][] } {
  const xs: number[] = [];
  const ys: (number | null)[][] = pick.map(() => []);
  let before: number | null = null;
  for (const sample of list) {
    if (before !== null && sample.time - before > stepMs * GAP_STEPS) {
      xs.push((before + stepMs) / 1000);
      for (const column of ys) column.push(null);
    }
    xs.push(sample.time / 1000);
    pick.forEach((take, i) => ys[i]?.push(number(take(sample))));
    before = sample.time;
  }
  return { xs, ys };
}

import { describe, expect, it } from 'vitest';
import { Figures, KEPT_COUNT } from '../src/figures';
import { Reading, parseMetrics } from '../src/prometheus';

function reading(second: number, deliveries: number, busy = 0): Reading {
  return new Reading(parseMetrics(
    `recado_sessions{dialect="sse"} 1\nrecado_sessions{dialect="native"} 4\n` +
    `recado_deliveries_total ${deliveries}\nrecado_memory_bytes 1024\n` +
    `recado_loop_busy_seconds_total{loop="10"} 0\nrecado_loop_busy_seconds_total{loop="2"} ${busy}\n` +
    `recado_closes_total{reason="slow"} 2\nrecado_closes_total{reason="normal"} 0\n` +
    `recado_info{version="1.2.3"} 1\n`,
  ), second * 1000);
}

describe('Figures', () => {
  it('has gauges at once and rates from the second reading', () => {
    const figures = new Figures();
    figures.push(reading(0, 100));
    expect(figures.latest()).toMatchObject({ sessions: 5, memory: 1024, deliveries: null });
    figures.push(reading(2, 300));
    expect(figures.latest()?.deliveries).toBe(100);
  });

  it('leaves a hole, not a negative rate, where the server restarted', () => {
    const figures = new Figures();
    figures.push(reading(0, 100));
    figures.push(reading(2, 5));
    figures.push(reading(4, 9));
    expect(figures.points.map((p) => p.deliveries)).toEqual([null, null, 2]);
  });

  it('knows nobody connected from nothing known', () => {
    const figures = new Figures();
    figures.push(new Reading(parseMetrics('recado_info{version="1"} 1\n'), 0));
    figures.push(new Reading(parseMetrics('something_else 1\n'), 1));
    expect(figures.points.map((p) => p.sessions)).toEqual([0, null]);
  });

  it('keeps a bounded number of points', () => {
    const figures = new Figures();
    for (let i = 0; i < KEPT_COUNT + 20; i += 1) figures.push(reading(i, i));
    expect(figures.points).toHaveLength(KEPT_COUNT);
    expect(figures.points[0]?.atMs).toBe(20_000);
  });

  it('orders dialects by size and loops by number, and drops reasons without closes', () => {
    const figures = new Figures();
    figures.push(reading(0, 0, 0));
    figures.push(reading(2, 0, 1));
    expect(figures.snapshot?.dialects).toEqual([['native', 4], ['sse', 1]]);
    expect(figures.snapshot?.loops).toEqual([['2', 0.5], ['10', 0]]);
    expect(figures.snapshot?.closes).toEqual([['slow', 2]]);
    expect(figures.snapshot?.version).toBe('1.2.3');
    expect(figures.snapshot?.channels).toBeNull();
  });
});

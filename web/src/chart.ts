// A small line chart over the last five minutes, with its figures as text for those who cannot see
// it.

import uPlot from 'uplot';
import { sideRoom } from './axis';
import { h } from './dom';
import { KEPT_COUNT, type Value } from './figures';
import { t } from './i18n';
import { color } from './theme';

export interface Line {
  color: string; // the name of a style variable
  fill?: boolean;
}

const HEIGHT_PX = 88;
const SPAN_SECONDS = (KEPT_COUNT - 1) * 2;
const SPAN_MIN_SECONDS = 60;
const NARROW_PX = 220;
const HEADROOM = 1.15;
const SIDE_PX = 24;

// Grows from a minute to the whole span, so that a page just opened shows more than a dot.
function spanOf(times: ArrayLike<number>, max: number): number {
  const elapsed = max - (times[0] ?? max);
  return Math.min(SPAN_SECONDS, Math.max(SPAN_MIN_SECONDS, elapsed));
}

export class Chart {
  readonly node: HTMLElement;
  private plot: uPlot | null = null;
  private data: uPlot.AlignedData;
  private narrow = false;
  private empty = true;
  private readonly observer: ResizeObserver;

  constructor(
    private readonly title: string,
    private readonly lines: readonly Line[],
    private readonly format: (value: Value) => string,
  ) {
    this.data = [[], ...lines.map(() => [])] as uPlot.AlignedData;
    this.node = h('div', {
      class: 'chart', role: 'img', 'aria-label': t('chartEmpty', { title }),
    });
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.node);
  }

  set(times: number[], series: Value[][]): void {
    this.data = [times, ...series] as uPlot.AlignedData;
    this.empty = series.every((values) => values.every((value) => value === null));
    this.plot?.setData(this.data);
    const known = (series[series.length - 1] ?? []).filter((v): v is number => v !== null);
    const now = known[known.length - 1];
    if (now === undefined) return;
    this.node.setAttribute('aria-label', t('chartLabel', {
      title: this.title,
      now: this.format(now),
      min: this.format(Math.min(...known)),
      max: this.format(Math.max(...known)),
    }));
  }

  redraw(): void {
    this.plot?.redraw(false, true);
  }

  destroy(): void {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private resize(): void {
    const width = Math.floor(this.node.clientWidth);
    if (width <= 0) return;
    const narrow = width < NARROW_PX;
    if (this.plot && narrow === this.narrow) {
      this.plot.setSize({ width, height: HEIGHT_PX });
      return;
    }
    this.plot?.destroy();
    this.narrow = narrow;
    this.plot = new uPlot(this.options(width), this.data, this.node);
  }

  private options(width: number): uPlot.Options {
    const font = `${this.narrow ? 10 : 11}px system-ui, sans-serif`;
    return {
      width,
      height: HEIGHT_PX,
      padding: [7, 4, 7, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: (plot, _, max) => [max - spanOf(plot.data[0], max), max] },
        y: { range: (_, __, max) => [0, (max > 0 ? max : 1) * HEADROOM] },
      },
      axes: [
        { show: false },
        {
          size: (_, labels) => sideRoom(labels, font, SIDE_PX),
          gap: 4,
          splits: (_, __, min, max) => (this.empty ? [min] : [min, max / HEADROOM]),
          values: (_, splits) => splits.map((value) => this.format(value)),
          stroke: () => color('--muted'),
          font,
          grid: { stroke: () => color('--line'), width: 1 },
          ticks: { show: false },
        },
      ],
      series: [
        {},
        ...this.lines.map((line): uPlot.Series => ({
          stroke: () => color(line.color),
          ...(line.fill ? { fill: () => `${color(line.color)}22` } : {}),
          width: 1.5,
          points: { show: false },
          spanGaps: true,
        })),
      ],
    };
  }
}

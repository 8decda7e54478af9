// Larger charts with an axis of time or of days. What they show is also said in words, for those who
// cannot see it, and the value under the pointer is shown beside the title.

import uPlot from 'uplot';
import { sideRoom, textWidth } from './axis';
import { h } from './dom';
import { color } from './theme';

export interface Series {
  title: string;
  color: string; // the name of a style variable
  fill?: boolean;
}

export interface PlotOptions {
  label: string;
  series: readonly Series[];
  height: number;
  bars?: boolean;
  max?: number; // of the values; without it the largest one
  formatX: (x: number) => string;
  formatAxis?: (x: number, step: number) => string; // step: between two labels
  formatY: (value: number | null) => string;
  binary?: boolean; // sizes: steps are powers of two
}

const HEADROOM = 1.1;
const SPAN_MIN_SECONDS = 60;
const SECONDS_UNTIL = 300;
const SIDE_PX = 28;
const DAY_STEPS = [1, 2, 5, 7, 10, 15];
const TIME_STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600];
const BINARY_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);
const FONT = '11px system-ui, sans-serif';

export class Plot {
  readonly node: HTMLElement;
  private readonly canvas: HTMLElement;
  private readonly legend = h('p', { class: 'legend', 'aria-hidden': 'true' });
  private readonly observer: ResizeObserver;
  private plot: uPlot | null = null;
  private data: uPlot.AlignedData;
  private said: readonly (readonly (number | null)[])[] = [];

  constructor(private readonly options: PlotOptions) {
    this.data = [[], ...options.series.map(() => [])] as uPlot.AlignedData;
    this.canvas = h('div', { class: 'plot', role: 'img', 'aria-label': options.label });
    this.canvas.style.height = `${options.height}px`;
    this.node = h('div', { class: 'plot-box' }, this.legend, this.canvas);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.canvas);
    this.drawLegend(null);
  }

  // words: the same for those who cannot see it; said: the values of the legend, where they are not those drawn.
  set(xs: number[], series: (number | null)[][], words: string, said: (number | null)[][] = series): void {
    this.data = [xs, ...series] as uPlot.AlignedData;
    this.said = said;
    this.plot?.setData(this.data);
    this.canvas.setAttribute('aria-label', words);
    this.drawLegend(this.plot?.cursor.idx ?? null);
  }

  redraw(): void {
    this.plot?.redraw(false, true);
  }

  destroy(): void {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private drawLegend(index: number | null): void {
    const xs = this.data[0];
    const at = index ?? xs.length - 1;
    const x = xs[at];
    this.legend.replaceChildren(
      h('span', { class: 'when' }, x === undefined || index === null ? '' : this.options.formatX(x)),
      ...this.options.series.map((line, i) => {
        const key = h('span', { class: 'key' }, line.title);
        key.style.setProperty('--key', `var(${line.color})`);
        return h('span', { class: 'pair' }, key, ' ', this.options.formatY(this.said[i]?.[at] ?? null));
      }));
  }

  private resize(): void {
    const width = Math.floor(this.canvas.clientWidth);
    if (width <= 0) return;
    if (this.plot) this.plot.setSize({ width, height: this.options.height });
    else this.plot = new uPlot(this.build(width), this.data, this.canvas);
  }

  private build(width: number): uPlot.Options {
    const { series, bars = false, max, formatX, formatAxis = formatX, formatY, height, binary } = this.options;
    // Half of the last label stands beyond the last point; it has seconds while the span is short.
    const halfLabel = (): number => {
      const [xs] = this.data;
      const last = xs[xs.length - 1] ?? 0;
      const step = last - (xs[0] ?? 0) > SECONDS_UNTIL ? SPAN_MIN_SECONDS : 1;
      return Math.ceil(textWidth(formatAxis(last, step), FONT) / 2);
    };
    const barPaths = uPlot.paths.bars?.({ size: [0.7, 40], gap: 0 });
    return {
      width,
      height,
      padding: [8, () => halfLabel() + 2, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } },
      hooks: { setCursor: [(plot) => this.drawLegend(plot.cursor.idx ?? null)] },
      scales: {
        x: {
          time: false,
          range: (_, min, most) => (bars ? [(min ?? 0) - 0.5, (most ?? 0) + 0.5]
            : [Math.min(min ?? 0, (most ?? 0) - SPAN_MIN_SECONDS), most ?? 1]),
        },
        y: { range: (_, __, most) => [0, max ?? ((most ?? 0) > 0 ? most * HEADROOM : 1)] },
      },
      axes: [
        {
          stroke: () => color('--muted'), font: FONT, size: 28, gap: 8, space: 76,
          grid: { show: false }, ticks: { show: false },
          incrs: bars ? DAY_STEPS : TIME_STEPS,
          values: (_, splits, __, ___, step) => splits.map((x) => (bars && !Number.isInteger(x) ? '' : formatAxis(x, step))),
        },
        {
          stroke: () => color('--muted'), font: FONT, gap: 4, space: 40,
          size: (_, labels) => sideRoom(labels, FONT, SIDE_PX), ...(binary ? { incrs: BINARY_STEPS } : {}),
          grid: { stroke: () => color('--line'), width: 1 }, ticks: { show: false },
          values: (_, splits) => splits.map((value) => (bars && !Number.isInteger(value) ? '' : formatY(value))),
        },
      ],
      series: [{}, ...series.map((line): uPlot.Series => ({
        stroke: () => color(line.color),
        ...(bars ? { fill: () => color(line.color), width: 0 } : { width: 1.5 }),
        ...(line.fill ? { fill: () => `${color(line.color)}22` } : {}),
        ...(bars && barPaths ? { paths: barPaths } : {}),
        points: { show: false },
        spanGaps: false,
      }))],
    };
  }
}

// Numbers, sizes and times for people, in the language of the page.

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export const NOTHING = '–';

function digits(value: number): number {
  return Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
}

export function formatCount(value: number | null, locale: string): string {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  if (Math.abs(value) >= 100_000) {
    return new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 })
      .format(value);
  }
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }).format(value);
}

export function formatRate(value: number | null, locale: string): string {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  if (value >= 100) return formatCount(Math.round(value), locale);
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(value);
}

export function formatBytes(value: number | null, locale: string): string {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  let unit = 0;
  let rest = value;
  while (Math.abs(rest) >= 1024 && unit < BYTE_UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  const number = new Intl.NumberFormat(locale, {
    maximumFractionDigits: unit === 0 ? 0 : digits(rest),
  }).format(rest);
  return `${number} ${BYTE_UNITS[unit]}`;
}

// Latencies: microseconds up to seconds, two or three significant digits.
export function formatSeconds(value: number | null, locale: string): string {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  const [scaled, unit] =
    value < 0.001 ? [value * 1e6, 'µs'] : value < 1 ? [value * 1e3, 'ms'] : [value, 's'];
  const number = new Intl.NumberFormat(locale, {
    maximumFractionDigits: unit === 'µs' ? 0 : digits(scaled),
  }).format(scaled);
  return `${number} ${unit}`;
}

// "3 d 4 h", "12 min 5 s": the two largest units are enough.
export function formatAge(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return NOTHING;
  const units: [number, string][] = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  let rest = Math.floor(seconds);
  const parts: string[] = [];
  for (const [size, name] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join(' ') : '0 s';
}

export function formatPercent(share: number | null, locale: string): string {
  if (share === null || !Number.isFinite(share)) return NOTHING;
  return new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }).format(share);
}

export function formatClock(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, {
    hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3,
    hourCycle: 'h23',
  }).format(ms);
}

export function formatDateTime(ms: number, locale: string): string {
  if (!Number.isFinite(ms)) return NOTHING;
  return new Intl.DateTimeFormat(locale, {
    day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
  }).format(ms);
}

// "2026-11-30" is a day of UTC, whatever the visitor's clock says.
export function formatDay(date: string, locale: string): string {
  const ms = Date.parse(`${date}T00:00:00Z`);
  if (!Number.isFinite(ms)) return date;
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', timeZone: 'UTC' }).format(ms);
}

export function formatDuration(ms: number | null, locale: string): string {
  if (ms === null || !Number.isFinite(ms)) return NOTHING;
  return ms < 60_000 ? formatSeconds(ms / 1000, locale) : formatAge(ms / 1000);
}

// "5 minutes ago", "in 2 hours".
export function formatAgo(seconds: number, locale: string): string {
  if (!Number.isFinite(seconds)) return NOTHING;
  const words = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });
  const units: [number, Intl.RelativeTimeFormatUnit][] = [[86400, 'day'], [3600, 'hour'], [60, 'minute']];
  const [size, unit] = units.find(([n]) => Math.abs(seconds) >= n) ?? [1, 'second'];
  const count = unit === 'second' && Math.abs(seconds) < 10 ? 0 : Math.round(-seconds / size);
  return words.format(count === 0 ? 0 : count, unit);
}

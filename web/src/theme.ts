// Light, dark, or whatever the system says.

export type Mode = 'auto' | 'light' | 'dark';

const KEPT = 'recado.theme';
const ORDER: readonly Mode[] = ['auto', 'light', 'dark'];

export function mode(): Mode {
  const kept = localStorage.getItem(KEPT);
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

export function applyTheme(): void {
  const now = mode();
  if (now === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = now;
}

export function nextMode(): Mode {
  const next = ORDER[(ORDER.indexOf(mode()) + 1) % ORDER.length] ?? 'auto';
  localStorage.setItem(KEPT, next);
  applyTheme();
  return next;
}

export function onSystemTheme(changed: () => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
}

export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

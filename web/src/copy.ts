// A command with a button that copies it.

import { h, icon, ICONS } from './dom';
import { t } from './i18n';

const SHOWN_MS = 1600;

async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP on another address has no clipboard interface; a selection still works there.
  const area = h('textarea', { class: 'offscreen', 'aria-hidden': 'true', value: text });
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

export interface CommandBox {
  readonly node: HTMLElement;
  set(text: string): void;
}

// What it copies is asked for when it is pressed.
export function copyButton(
  what: string, text: () => string, announce: (text: string) => void,
): HTMLButtonElement {
  const button = h(
    'button',
    { type: 'button', class: 'icon-button copy', title: t('copy'), 'aria-label': t('copyWhat', { what }) },
    icon(ICONS.copy),
  );
  button.addEventListener('click', () => {
    void copyText(text()).then(() => {
      button.replaceChildren(icon(ICONS.check));
      announce(t('copied'));
      setTimeout(() => button.replaceChildren(icon(ICONS.copy)), SHOWN_MS);
    });
  });
  return button;
}

export function commandBox(what: string, announce: (text: string) => void): CommandBox {
  const code = h('code', { translate: 'no' });
  const node = h(
    'div', { class: 'command' },
    h('pre', { tabindex: '0', role: 'group', 'aria-label': what }, code),
    copyButton(what, () => code.textContent ?? '', announce),
  );
  return { node, set: (text) => { code.textContent = text; } };
}

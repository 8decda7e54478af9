// Builds elements without markup in strings: whatever the server sends is text, never HTML.

export type Child = Node | string | number | null | undefined | false;

export interface Props {
  [name: string]: unknown;
}

function apply(node: Element, name: string, value: unknown): void {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith('on') && typeof value === 'function') {
    node.addEventListener(name.slice(2), value as EventListener);
  } else if (name === 'value') {
    (node as HTMLInputElement).value = String(value);
  } else {
    node.setAttribute(name, value === true ? '' : String(value));
  }
}

export function append(node: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  append(node, children);
  for (const [name, value] of Object.entries(props)) apply(node, name, value);
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

// A decorative 24x24 line icon.
export function icon(path: string): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({
    viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false',
  })) svg.setAttribute(name, value);
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

export const ICONS = {
  sun: 'M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.700 1.400-1.400M4.900 19.100l1.400-1.400m0-11.400L4.900 4.900m14.200 14.200-1.400-1.400M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z',
  moon: 'M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z',
  auto: 'M12 3a9 9 0 1 0 0 18zm0 0a9 9 0 0 1 0 18',
  key: 'M12 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zm0 0h9v3.500m-4.500-3.500v2.500',
  pause: 'M9 5v14M15 5v14',
  play: 'M7 4.500v15l12-7.500z',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  check: 'M5 12.500l4.500 4.500L19 7',
  close: 'M6 6l12 12M18 6L6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  plus: 'M12 5v14M5 12h14',
  stop: 'M7 7h10v10H7z',
  down: 'M12 5v14m-6-6 6 6 6-6',
} as const;

export function clear(node: Element): void {
  node.replaceChildren();
}

let nextId = 0;

export function uid(prefix: string): string {
  nextId += 1;
  return `${prefix}-${nextId}`;
}

// A labelled control with its hint and its place for an error.
export function field(label: string, control: HTMLElement, hint?: Child): HTMLElement {
  const id = control.id || uid('field');
  control.id = id;
  const note = hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null;
  if (note) control.setAttribute('aria-describedby', note.id);
  return h('div', { class: 'field' }, h('label', { for: id }, label), control, note);
}

// A button that cannot be pressed loses the focus: it gets it back, unless somebody has gone on meanwhile.
export async function whileBusy<T>(button: HTMLButtonElement, work: () => Promise<T>): Promise<T> {
  const had = document.activeElement === button;
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
    const now = document.activeElement;
    if (had && (now === null || now.matches('body, dialog'))) button.focus();
  }
}

// Says beside a field what is wrong with what stands in it, until that is changed.
export function fieldError(control: HTMLElement, text: string): void {
  const told = control.nextElementSibling;
  if (told?.matches('.error')) {
    told.textContent = text;
    return;
  }
  const note = h('p', { class: 'error', id: uid('wrong'), role: 'alert' }, text);
  const described = control.getAttribute('aria-describedby');
  control.setAttribute('aria-invalid', 'true');
  control.setAttribute('aria-describedby', [note.id, described ?? ''].join(' ').trim());
  control.after(note);
  const right = (): void => {
    note.remove();
    control.removeAttribute('aria-invalid');
    if (described) control.setAttribute('aria-describedby', described);
    else control.removeAttribute('aria-describedby');
  };
  control.addEventListener('input', right, { once: true });
}

// A choice between a few values; the texts are for people.
export function select(
  name: string, choices: readonly (readonly [value: string, text: string])[], chosen: string,
): HTMLSelectElement {
  const listed = choices.some(([value]) => value === chosen) ? choices : [...choices, [chosen, chosen] as const];
  return h('select', { name, value: chosen }, ...listed.map(([value, text]) => h('option', { value }, text)));
}

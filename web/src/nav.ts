// The way around the console: pages in groups, beside the page on wide screens and behind a button on
// narrow ones.

import { h, icon, ICONS } from './dom';
import { t, tn } from './i18n';
import { parseRoute } from './route';
import type { Word } from './words';

interface Group {
  title: Word;
  pages: readonly Word[];
}

const GROUPS: readonly Group[] = [
  { title: 'navEvents', pages: ['overview', 'channels', 'publish'] },
  { title: 'navWork', pages: ['chat', 'runs', 'tasks', 'approvals', 'schedules'] },
  { title: 'navServer', pages: ['monitor', 'logs', 'sessions'] },
];

export class Navigation {
  readonly node: HTMLElement;
  readonly button: HTMLButtonElement;
  private readonly badges: HTMLElement[] = [];
  private waitingCount = 0;

  constructor() {
    this.button = h('button', {
      type: 'button', class: 'icon-button menu', name: 'menu', 'aria-label': t('menu'), title: t('menu'),
      'aria-expanded': 'false', 'aria-controls': 'navigation',
    }, icon(ICONS.menu), this.badge());
    this.node = h('nav', { id: 'navigation', 'aria-label': t('navMain') },
      ...GROUPS.map((group) => this.group(group)));
    this.button.addEventListener('click', () => this.open(!this.isOpen));
    this.node.addEventListener('click', (e) => {
      if (e.target instanceof Element && e.target.closest('a')) this.open(false);
    });
    for (const place of [this.node, this.button]) {
      place.addEventListener('keydown', (e) => {
        if (e.key !== 'Escape' || !this.isOpen) return;
        this.open(false);
        this.button.focus();
      });
    }
    this.node.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.node.contains(relatedTarget) && relatedTarget !== this.button) {
        this.open(false);
      }
    });
  }

  // Marks the page of the route, and says its name.
  mark(hash: string): Word {
    const page = parseRoute(hash).page || 'overview';
    let current: Word = 'overview';
    for (const link of this.node.querySelectorAll('a')) {
      const here = link.dataset['page'] === page;
      if (here) {
        link.setAttribute('aria-current', 'page');
        current = page as Word;
      } else {
        link.removeAttribute('aria-current');
      }
    }
    return current;
  }

  // How many approvals wait for a decision.
  waiting(count: number): void {
    if (count === this.waitingCount) return;
    this.waitingCount = count;
    for (const badge of this.badges) {
      badge.hidden = count === 0;
      badge.replaceChildren(count > 99 ? '99+' : String(count), h('span', { class: 'offscreen' }, ` ${tn('badgeWaiting', count)}`));
    }
  }

  private get isOpen(): boolean {
    return this.button.getAttribute('aria-expanded') === 'true';
  }

  private open(on: boolean): void {
    this.button.setAttribute('aria-expanded', String(on));
    this.node.classList.toggle('open', on);
    if (on) this.node.querySelector<HTMLElement>('[aria-current], a')?.focus();
  }

  private badge(): HTMLElement {
    const badge = h('span', { class: 'badge', hidden: true });
    this.badges.push(badge);
    return badge;
  }

  private group({ title, pages }: Group): HTMLElement {
    const id = `nav-${title}`;
    return h('div', { class: 'nav-group' }, h('h2', { id }, t(title)),
      h('ul', { 'aria-labelledby': id }, ...pages.map((page) => h('li', {},
        h('a', { href: page === 'overview' ? '#/' : `#/${page}`, 'data-page': page }, h('span', {}, t(page)),
          page === 'approvals' ? this.badge() : null)))));
  }
}

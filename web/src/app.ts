// The frame around the views: header, routes, language and theme, and the clockwork that feeds them.

import { readAccess } from './access';
import * as api from './api';
import { countApprovals } from './approvals';
import { createContext, type Context, type View } from './context';
import { closeDialogs } from './dialog';
import { h, icon, ICONS } from './dom';
import { splitChannels } from './filter';
import { lang, setLang, t } from './i18n';
import { reads } from './live';
import { Navigation } from './nav';
import { Poll } from './poll';
import { parseRoute, type Route } from './route';
import { mode, nextMode, onSystemTheme, type Mode } from './theme';
import { openAccessDialog, signInView } from './views/access';
import { channelView } from './views/channel';
import { channelsView } from './views/channels';
import { overviewView } from './views/overview';
import { sessionsView } from './views/sessions';
import type { Word } from './words';

const EVERY_MS = 2000;
const WAITING_EVERY_MS = 30_000; // besides what the channel of approvals says
const RELOADED = 'recado.reloaded';
const RELOAD_EVERY_MS = 60_000;
const DRAW_EVERY_MS = 80; // however many events arrive meanwhile

const THEMES: Record<Mode, { word: Word; icon: string }> = {
  auto: { word: 'themeAuto', icon: ICONS.auto },
  light: { word: 'themeLight', icon: ICONS.sun },
  dark: { word: 'themeDark', icon: ICONS.moon },
};

// Fetched when they are first asked for.
const PAGES: Record<string, () => Promise<(ctx: Context, route: Route) => View>> = {
  chat: async () => (await import('./views/chat')).chatView,
  runs: async () => (await import('./views/runs')).runsView,
  tasks: async () => (await import('./views/tasks')).tasksView,
  approvals: async () => (await import('./views/approvals')).approvalsView,
  schedules: async () => (await import('./views/schedules')).schedulesView,
  monitor: async () => (await import('./views/monitor')).monitorView,
  logs: async () => (await import('./views/logs')).logsView,
};

export class App {
  private readonly ctx = createContext({
    announce: (text) => this.announce(text),
    go: (route) => { location.hash = route; },
    openAccess: () => openAccessDialog(() => this.restart()),
    failure: (error) => this.failure(error),
    countWaiting: () => this.waiting?.now(),
  });
  private readonly voice = h('p', { class: 'offscreen', role: 'status', 'aria-live': 'polite' });
  private readonly main = h('main', { id: 'main' });
  private readonly banner = h('p', { class: 'banner', role: 'status', hidden: true });
  private readonly completion = h('datalist', { id: 'known-channels' });
  private header = h('header');
  private nav = new Navigation();
  private view: View | null = null;
  private page = ''; // that the view shows
  private routing = 0; // counts the ways taken, so that a late one is dropped
  private waiting: Poll | null = null;
  private locked = false;
  private admitted = false; // the API answered us
  private drawing = 0;
  private lost = false; // a page's file could not be fetched

  constructor(private readonly root: HTMLElement) {
    const { live, log, known } = this.ctx;
    live.onEvent = (event) => {
      log.add(event);
      if (known.size < 500) known.add(event.channel);
      this.drawing ||= window.setTimeout(() => {
        this.drawing = 0;
        this.view?.events?.();
      }, DRAW_EVERY_MS);
    };
    live.onState = () => {
      this.drawState();
      this.view?.state?.();
    };
    live.watch('approvals', reads(() => this.waiting?.now()));
    window.addEventListener('hashchange', () => void this.route(true));
    onSystemTheme(() => this.view?.theme?.());
    document.addEventListener('focusin', () => this.fillCompletion());
  }

  start(): void {
    void this.frameUp().then(() => {
      if (location.hash === '#/publish') this.focusPublish();
    });
    const poll = new Poll(async () => {
      await this.read();
      if (!this.locked && !this.ctx.live.started) this.ctx.live.start(splitChannels(this.ctx.follow));
    }, EVERY_MS);
    this.waiting = new Poll(() => this.countWaiting(), WAITING_EVERY_MS);
    // A rate needs two readings: the second comes sooner.
    setTimeout(() => poll.now(), EVERY_MS / 3);
  }

  private async read(): Promise<void> {
    if (this.locked) return;
    try {
      if (!this.admitted) await api.info();
      if (!this.admitted) {
        this.admitted = true;
        this.waiting?.now();
      }
      this.ctx.figures.push(await api.metrics());
      this.say('');
      if (this.lost) this.fetchAnew();
      this.view?.figures?.();
    } catch (error) {
      if (!(error instanceof api.ApiError)) this.say(t('serverSilent'));
      else if (!error.unauthorized) this.say(this.failure(error));
      else if (readAccess().token && !readAccess().apiKey) this.say(this.page === '' ? t('tokenOnly') : '');
      else this.lock();
    }
  }

  // A badge is no place for an error: without an answer there is none.
  private async countWaiting(): Promise<void> {
    if (this.locked || !this.admitted) return;
    const { total } = await countApprovals().catch(() => ({ total: 0 }));
    this.nav.waiting(total);
  }

  private lock(): void {
    if (this.locked) return;
    this.locked = true;
    this.admitted = false;
    this.say('');
    this.ctx.live.stop();
    void this.route(true);
  }

  private restart(): void {
    this.locked = false;
    this.admitted = false;
    this.ctx.live.start(splitChannels(this.ctx.follow));
    void this.route(false);
    void this.read();
  }

  private say(text: string): void {
    this.banner.hidden = text === '';
    if (this.banner.textContent !== text) this.banner.textContent = text;
  }

  private announce(text: string): void {
    this.voice.textContent = text;
  }

  private failure(error: unknown): string {
    if (error instanceof api.ApiError) {
      if (error.unauthorized) return t('needsKey');
      return t('failed', { message: error.message });
    }
    return error instanceof TypeError ? t('serverSilent') : t('failed', { message: String(error) });
  }

  private fillCompletion(): void {
    const names = [...this.ctx.known].slice(0, 200);
    if (names.length === this.completion.childElementCount) return;
    this.completion.replaceChildren(...names.map((name) => h('option', { value: name })));
  }

  private frameUp(): Promise<void> {
    const skip = h('a', { href: '#main', class: 'skip' }, t('skip'));
    skip.addEventListener('click', (e) => {
      e.preventDefault();
      this.focusTitle();
    });
    this.nav = new Navigation();
    this.header = h('header', { class: 'top' },
      this.nav.button,
      h('a', { href: '#/', class: 'brand', 'aria-label': 'Recado' },
        h('img', { src: '/favicon.svg', alt: '', width: '26', height: '26' }), h('span', {}, 'Recado')),
      h('div', { class: 'tools' },
        h('span', { class: 'state', role: 'status' }), this.accessButton(), this.themeButton(), this.langButton()));
    this.root.replaceChildren(skip, this.header, this.banner, this.nav.node, this.main, this.voice, this.completion);
    this.drawState();
    this.page = '';
    this.waiting?.now();
    return this.route(false);
  }

  private accessButton(): HTMLElement {
    const button = h('button', {
      type: 'button', class: 'icon-button', name: 'access', 'aria-label': t('access'), title: t('access'),
    },
      icon(ICONS.key));
    button.addEventListener('click', () => this.ctx.openAccess());
    return button;
  }

  private themeButton(): HTMLElement {
    const button = h('button', { type: 'button', class: 'icon-button', name: 'theme' });
    const draw = (now: Mode): void => {
      const label = t('theme', { mode: t(THEMES[now].word) });
      button.replaceChildren(icon(THEMES[now].icon));
      button.setAttribute('aria-label', label);
      button.title = label;
    };
    button.addEventListener('click', () => {
      draw(nextMode());
      this.view?.theme?.();
    });
    draw(mode());
    return button;
  }

  private langButton(): HTMLElement {
    const next = lang() === 'en' ? 'pt-BR' : 'en';
    const button = h('button', {
      type: 'button', class: 'lang', name: 'language', lang: next, 'aria-label': t('languageLabel'),
      title: t('language'),
    }, next === 'en' ? 'EN' : 'PT');
    button.addEventListener('click', () => {
      setLang(next);
      void this.frameUp();
      this.header.querySelector<HTMLElement>('[name=language]')?.focus();
    });
    return button;
  }

  private drawState(): void {
    const place = this.header.querySelector('.state');
    if (!place) return;
    const { state, reason } = this.ctx.live;
    const words: Record<typeof state, Word> = {
      connecting: 'stateConnecting', connected: 'stateConnected', disconnected: 'stateDisconnected',
      refused: 'stateRefused',
    };
    place.className = `state ${state}`;
    place.textContent = t(words[state]);
    place.setAttribute('title', reason);
  }

  private async buildView(route: Route): Promise<View> {
    if (this.locked) return { node: signInView(() => this.restart()) };
    const { page, name } = route;
    if (page === 'channels' && name) return channelView(this.ctx, name);
    if (page === 'channels') return channelsView(this.ctx);
    if (page === 'sessions') return sessionsView(this.ctx);
    const load = PAGES[page];
    return load ? (await load())(this.ctx, route) : overviewView(this.ctx);
  }

  // The page that is there stays until the next one is ready.
  private async route(byVisitor: boolean): Promise<void> {
    const hash = location.hash || '#/';
    const route = parseRoute(hash);
    closeDialogs();
    const current = this.nav.mark(hash);
    document.title = `${this.locked ? t('signIn') : t(current)} · Recado`;
    this.root.classList.toggle('locked', this.locked);
    this.routing += 1;
    const turn = this.routing;
    if (this.locked || this.page !== route.page || !this.view?.route?.(route)) {
      const view = await this.buildView(route).catch((error: unknown) => this.missing(error));
      if (turn !== this.routing) {
        view.destroy?.();
        return;
      }
      this.view?.destroy?.();
      this.view = view;
      this.page = this.locked ? '' : route.page;
      this.main.replaceChildren(view.node);
    }
    if (!byVisitor) return;
    if (hash === '#/publish' && !this.locked) this.focusPublish();
    else this.focusTitle();
  }

  // The server answers again; a file that is still not there does not make the page go round and round.
  private fetchAnew(): void {
    this.lost = false;
    const last = Number(sessionStorage.getItem(RELOADED));
    if (Date.now() - last < RELOAD_EVERY_MS) return;
    sessionStorage.setItem(RELOADED, String(Date.now()));
    location.reload();
  }

  // A page's file cannot be had while the server is away, and is gone when it was replaced meanwhile.
  private missing(error: unknown): View {
    this.lost = true;
    const again = h('button', { type: 'button', class: 'primary' }, t('reload'));
    again.addEventListener('click', () => location.reload());
    return { node: h('section', { class: 'card page' },
      h('h1', { tabindex: '-1' }, t('pageMissing')),
      h('p', { class: 'note' }, String(error)), again) };
  }

  private focusTitle(): void {
    window.scrollTo(0, 0);
    const wanted = this.main.querySelector<HTMLElement>('[data-focus]');
    if (wanted && wanted.offsetParent !== null) {
      wanted.focus({ preventScroll: true });
      return;
    }
    const titles = ['h1', 'h2[tabindex]'].flatMap((kind) => [...this.main.querySelectorAll<HTMLElement>(kind)]);
    titles.find((title) => title.offsetParent !== null)?.focus({ preventScroll: true });
  }

  private focusPublish(): void {
    this.main.querySelector('#publish')?.scrollIntoView({ block: 'start' });
    this.main.querySelector<HTMLElement>('#publish-channel')?.focus({ preventScroll: true });
  }
}

// Repeats a request, one at a time, and rests while nobody looks at the page.

export class Poll {
  private timer = 0;
  private stopped = false;
  private running = false;
  private again = false;

  constructor(private readonly work: () => Promise<void>, private readonly everyMs: number) {
    document.addEventListener('visibilitychange', this.seen);
    void this.run();
  }

  // At once, for instance because the visitor changed what is asked for.
  now(): void {
    clearTimeout(this.timer);
    void this.run();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.seen);
  }

  private readonly seen = (): void => {
    if (!document.hidden) this.now();
  };

  private async run(): Promise<void> {
    if (this.stopped) return;
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    this.again = false;
    try {
      await this.work();
    } finally {
      this.running = false;
      clearTimeout(this.timer);
      if (!this.stopped && (this.again || !document.hidden)) {
        this.timer = window.setTimeout(() => void this.run(), this.again ? 0 : this.everyMs);
      }
    }
  }
}

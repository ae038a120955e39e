/** Counts operations and, in a long run, shows every few seconds how far it has got. */

const SHOW_EVERY_MS = 5_000;

export class Progress {
  done = 0;
  readonly #total: number;
  readonly #startMs = performance.now();
  #shownMs = performance.now();

  constructor(total: number) {
    this.#total = total;
  }

  add(operations: number): void {
    this.done += operations;
    if (performance.now() - this.#shownMs < SHOW_EVERY_MS) return;
    this.#shownMs = performance.now();
    if (process.env['IMSSFS_MODEL_PROGRESS'] === '1') console.log(this.summary());
  }

  summary(): string {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = Math.round(this.done / seconds).toLocaleString('en');
    const done = this.done.toLocaleString('en');
    const total = this.#total.toLocaleString('en');
    return `${done} of ${total} operations in ${seconds.toFixed(0)} s, ${rate} each second`;
  }
}

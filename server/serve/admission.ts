import { RequestError } from '../errors.ts';

/** What a request is answered with once the server has been asked to stop. */
export const draining = (): RequestError =>
  new RequestError('draining', 'the server is shutting down', { retryAfterSeconds: 5 });

/** The places of requests that are uploading, waiting or running; more are sent away before their body is read. */
export class Admission {
  readonly #places: number;
  readonly #atOnce: number;
  #held = 0;
  #averageMs = 1000;

  /** `atOnce`: how many of the `places` are worked on at the same time. */
  constructor(places: number, atOnce: number) {
    [this.#places, this.#atOnce] = [places, atOnce];
  }

  /** Places that are taken. */
  get held(): number {
    return this.#held;
  }

  /** Takes a place; `busy` with Retry-After when there is none. Returns how to give it back. */
  enter(): () => void {
    if (this.#held >= this.#places) {
      const seconds = Math.ceil((this.#averageMs * this.#held) / Math.min(this.#atOnce, this.#places) / 1000);
      const retryAfterSeconds = Math.min(60, Math.max(1, seconds));
      const text = `the queue is full (${this.#places} requests); try again in ${retryAfterSeconds} s`;
      throw new RequestError('busy', text, { retryAfterSeconds });
    }
    this.#held++;
    let held = true;
    return () => {
      if (held) this.#held--;
      held = false;
    };
  }

  /** A request has been worked on for so many milliseconds. */
  took(ms: number): void {
    this.#averageMs = 0.8 * this.#averageMs + 0.2 * ms;
  }
}

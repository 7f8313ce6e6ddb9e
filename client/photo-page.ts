import { ApiError } from './api.ts';
import { LocalError } from './local.ts';
import type { Done, Wish } from './place.ts';
import type { Shell } from './shell.ts';
import { byId, element, find } from './ui/dom.ts';
import { onPhoto } from './ui/photo.ts';
import { deviceWords, errorWords, placeWords, progressWords } from './ui/words.ts';

/** What a page does with a photo. */
export interface PhotoTask<R> {
  /** Called for a new photo before it is run: to choose settings by what the photo is. */
  prepare?(file: File, preview: HTMLImageElement): Promise<void>;
  run(file: File, wish: Wish): Promise<Done<R>>;
  /** Fills the page's result; `url` shows the photo as it was. Returns what gets the focus. */
  present(done: Done<R>, file: File, url: string): Promise<HTMLElement>;
}

/** A page that takes a photo at a time: by choice, drop, paste or camera. Its parts are `intake`, `work`, `place` and `status`. */
export class PhotoPage<R> {
  readonly #shell: Shell;
  readonly #task: PhotoTask<R>;
  readonly #preview = byId<HTMLImageElement>('preview');
  #photo: File | undefined;
  #url = '';
  #running: AbortController | undefined;

  constructor(shell: Shell, task: PhotoTask<R>) {
    this.#shell = shell;
    this.#task = task;
    const actions: Record<string, () => void> = {
      again: () => this.again(),
      here: () => {
        shell.stayHere();
        this.again();
      },
      new: () => this.#startOver(),
    };
    for (const button of document.querySelectorAll<HTMLElement>('[data-do]'))
      button.addEventListener('click', () => actions[button.dataset.do ?? '']?.());
    this.#hereButton().textContent = `${shell.words.verb} on this device`;
    byId('cancel').addEventListener('click', () => this.#startOver());
    document.querySelector('form.options')?.addEventListener('submit', (event) => event.preventDefault());
    onPhoto(this.#inputs(), (file) => this.take(file));
    for (const type of ['load', 'error'] as const)
      this.#preview.addEventListener(type, () => this.#preview.classList.toggle('unseen', type === 'error'));
  }

  /** Shows the photo and works on it. */
  take(file: File): void {
    this.#photo = file;
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(file);
    this.#preview.src = this.#url;
    const prepared = this.#task.prepare?.(file, this.#preview) ?? Promise.resolve();
    void prepared.then(() => (file === this.#photo ? this.#run(file) : undefined));
  }

  /** The same photo once more, with what is chosen now. */
  again(): void {
    if (this.#photo !== undefined) void this.#run(this.#photo);
  }

  /** Shows what went wrong. */
  complain(error: unknown): void {
    const { problem, advice, code } = errorWords(error, this.#shell.words);
    byId('problem').textContent = problem;
    byId('advice').textContent = advice;
    byId('code').textContent = code;
    this.#hereButton().hidden = error instanceof LocalError;
    if (!(error instanceof ApiError || error instanceof LocalError)) console.error(error);
    this.#shell.show('error');
    find<HTMLElement>(byId('failed'), '[data-do=again]').focus();
    this.#shell.announce('');
  }

  #inputs(): HTMLInputElement[] {
    return [byId<HTMLInputElement>('file'), byId<HTMLInputElement>('camera')];
  }

  #hereButton(): HTMLElement {
    return find(byId('failed'), '[data-do=here]');
  }

  async #run(file: File): Promise<void> {
    this.#running?.abort();
    const mine = new AbortController();
    this.#running = mine;
    byId<HTMLProgressElement>('bar').removeAttribute('value');
    byId('doing').textContent = 'Starting …';
    this.#shell.show('busy');
    byId('cancel').focus();
    this.#shell.announce(`${this.#shell.words.doing} ${file.name}.`);
    try {
      const done = await this.#task.run(file, this.#wish(mine.signal));
      if (!mine.signal.aborted) await this.#present(done, file, mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) this.complain(error);
    }
  }

  #wish(signal: AbortSignal): Wish {
    const { words } = this.#shell;
    const bar = byId<HTMLProgressElement>('bar');
    return {
      ...this.#shell.wished(),
      signal,
      onProgress: (progress) => {
        if (signal.aborted) return;
        const text = progressWords(progress, words);
        if (byId('doing').textContent !== text) byId('doing').textContent = text;
        if (progress.fraction === undefined) bar.removeAttribute('value');
        else bar.value = progress.fraction;
      },
      onFallback: (why) => this.#shell.announce(`${words.doing} on this device: ${why}.`),
    };
  }

  async #present(done: Done<R>, file: File, signal: AbortSignal): Promise<void> {
    const { words } = this.#shell;
    const { place } = done;
    byId('place').textContent = placeWords(done, words);
    const reasons = place.kind === 'device' ? deviceWords(place, words) : [];
    byId('details').hidden = reasons.length === 0;
    byId('reasons').replaceChildren(...reasons.map((textContent) => element('li', { textContent })));
    this.#shell.show('done'); // first, for what is not there has no size
    const target = await this.#task.present(done, file, this.#url);
    if (signal.aborted) return; // while the photo was decoded
    target.focus({ preventScroll: true });
    this.#shell.announce(placeWords(done, words));
    this.#shell.doneAt(place);
  }

  #startOver(): void {
    this.#running?.abort();
    this.#shell.show('empty');
    this.#shell.announce('');
    for (const input of this.#inputs()) input.value = '';
    byId('file').focus();
  }
}

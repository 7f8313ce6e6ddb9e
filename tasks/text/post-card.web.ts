import { element } from '../../client/ui/dom.ts';
import { postLength, postLimit } from './post-length.web.ts';

/** Copies text, also where there is no clipboard for scripts (pages on plain http). */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = element('textarea', { value: text, className: 'quiet' });
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('this browser lets no page copy');
}

/** One post as it is being written: what was given, what follows, how long it is, and a button to copy it. */
export class PostCard {
  readonly root: HTMLLIElement;
  readonly #prompt: string;
  readonly #more = element('span', { className: 'more' });
  readonly #count = element('span', { className: 'count' });
  readonly #cut = element('span', { className: 'cut', textContent: 'cut off', hidden: true });

  constructor(prompt: string, number: number, announce: (text: string) => void) {
    this.#prompt = prompt;
    const copy = element('button', { type: 'button', className: 'copy', textContent: 'Copy' });
    copy.setAttribute('aria-label', `Copy post ${number}`);
    copy.addEventListener('click', async () => {
      const result = await copyText(this.text).then(
        () => 'Copied',
        () => 'Could not copy',
      );
      copy.textContent = result;
      announce(`${result}.`);
      setTimeout(() => {
        copy.textContent = 'Copy';
      }, 2000);
    });
    const given = element('span', { className: 'given', textContent: prompt });
    const foot = element('div', { className: 'foot' }, this.#count, this.#cut, copy);
    this.root = element('li', { className: 'post' }, element('p', { className: 'text' }, given, this.#more), foot);
    this.#showCount();
  }

  get text(): string {
    return this.#prompt + this.#more.textContent;
  }

  add(piece: string): void {
    this.#more.append(piece);
    this.#showCount();
  }

  /** The whole continuation, and whether it ended by itself. */
  finish(more: string, finishReason: 'stop' | 'length'): void {
    if (this.#more.textContent !== more) this.#more.textContent = more;
    if (finishReason === 'length') this.cutOff();
    this.#showCount();
  }

  /** Marks that more would have followed. */
  cutOff(): void {
    this.#cut.hidden = false;
  }

  #showCount(): void {
    const length = postLength(this.text);
    this.#count.textContent = `${length} / ${postLimit}`;
    this.#count.classList.toggle('over', length > postLimit);
    this.#count.title =
      length > postLimit ? `${length - postLimit} too many for one post` : 'Characters as X counts them';
  }
}

import { element, find } from '../../client/ui/dom.ts';
import { showPhoto } from '../../client/ui/photo.ts';
import { shareWords } from '../../client/ui/words.ts';
import type { Segmented } from './here.web.ts';
import { drawClasses } from './overlay.web.ts';

/** Pixels of the overlay on the screen, at most: a larger one would only be slower to draw. */
const maxPixels = 2e6;

/** While one class is shown, its colour is at least so opaque. */
const leastOpacity = 0.75;

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** sharesOf: how much of the picture each class has, 0..1, by id. */
export function sharesOf({ ids, classes }: Segmented): number[] {
  const counts = new Uint32Array(256);
  for (const id of ids) counts[id]! += 1;
  return classes.map((_, id) => counts[id]! / ids.length);
}

/** The photo with its classes over it, and the legend: pointing at a class, in either, shows which it is in the other. */
export class MaskView {
  readonly #root: HTMLElement;
  readonly #view: HTMLElement;
  readonly #photo: HTMLImageElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #under: HTMLOutputElement;
  readonly #probe: HTMLElement;
  readonly #slider: HTMLInputElement;
  readonly #legend: HTMLElement;
  #mask: Segmented | undefined;
  #entries = new Map<number, HTMLButtonElement>();
  /** The class that stays shown, by a click on its entry. */
  #pinned: number | undefined;
  #shown: number | undefined;
  /** The point that arrow keys move, as shares of width and height. */
  #point = { x: 0.5, y: 0.5 };

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#view = find(root, '.view');
    this.#photo = find(root, '.photo');
    this.#canvas = find(root, '.overlay');
    this.#under = find(root, '.under');
    this.#probe = find(root, '.probe');
    this.#slider = find(root, '#opacity');
    this.#legend = find(root, '#legend');
    this.#slider.addEventListener('input', () => this.#applyOpacity());
    for (const type of ['pointermove', 'pointerdown'] as const)
      this.#view.addEventListener(type, (event) => this.#pointAt(event));
    for (const type of ['pointerleave', 'pointercancel', 'blur'] as const)
      this.#view.addEventListener(type, () => this.#forget());
    this.#view.addEventListener('keydown', (event) => this.#key(event));
  }

  /** How much of the classes' colours there is, 0..1, as the slider is set. */
  get opacity(): number {
    return Number(this.#slider.value) / 100;
  }

  /** Shows a photo and its mask; resolves when both are on the screen, with false where the browser cannot open the photo: the mask alone is. */
  async show(url: string, mask: Segmented): Promise<boolean> {
    const { width, height } = mask;
    this.#mask = mask;
    this.#root.style.setProperty('--width', String(width));
    this.#root.style.setProperty('--height', String(height));
    const opens = await showPhoto(this.#photo, url);
    if (this.#mask !== mask) return opens; // another one came meanwhile
    this.#root.classList.toggle('no-photo', !opens);
    const scale = Math.min(1, Math.sqrt(maxPixels / (width * height)));
    this.#canvas.width = Math.max(1, Math.round(width * scale));
    this.#canvas.height = Math.max(1, Math.round(height * scale));
    this.#pinned = undefined;
    this.#fillLegend(mask);
    this.#forget();
    this.#draw(undefined);
    return opens;
  }

  #fillLegend(mask: Segmented): void {
    const shares = sharesOf(mask);
    const rows = mask.classes.map(({ name }, id) => ({ id, name, share: shares[id]! }));
    const present = rows.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
    this.#entries = new Map(present.map(({ id, name, share }) => [id, this.#entry(id, name, share, mask)]));
    this.#legend.replaceChildren(...[...this.#entries.values()].map((entry) => element('li', {}, entry)));
    const absent = rows.filter(({ share }) => share === 0).map(({ name }) => name);
    find(this.#root, '#absent').textContent = absent.length === 0 ? '' : `Not in this photo: ${absent.join(', ')}.`;
  }

  #entry(id: number, name: string, share: number, { classes }: Segmented): HTMLButtonElement {
    const swatch = element('span', { className: 'swatch' });
    swatch.style.backgroundColor = `rgb(${classes[id]!.color.join(' ')})`;
    const label = element('span', { className: 'name', textContent: name });
    const entry = element('button', { type: 'button' }, swatch, label);
    entry.append(element('span', { className: 'share', textContent: shareWords(share) }));
    entry.setAttribute('aria-pressed', 'false');
    for (const type of ['pointerenter', 'focus'] as const) entry.addEventListener(type, () => this.#draw(id));
    for (const type of ['pointerleave', 'blur'] as const) entry.addEventListener(type, () => this.#draw(this.#pinned));
    entry.addEventListener('click', () => this.#pin(this.#pinned === id ? undefined : id));
    return entry;
  }

  #pin(id: number | undefined): void {
    this.#pinned = id;
    for (const [one, entry] of this.#entries) entry.setAttribute('aria-pressed', String(one === id));
    this.#draw(id);
  }

  /** Draws all classes, or one of them with the others darkened. */
  #draw(one: number | undefined): void {
    if (this.#mask === undefined) return;
    this.#shown = one;
    drawClasses(this.#canvas, this.#mask, one);
    this.#applyOpacity();
  }

  #applyOpacity(): void {
    const least = this.#shown === undefined ? 0 : leastOpacity;
    this.#canvas.style.opacity = String(Math.max(least, this.opacity));
    this.#slider.setAttribute('aria-valuetext', `${this.#slider.value} %`);
  }

  #pointAt(event: PointerEvent): void {
    const box = this.#view.getBoundingClientRect();
    this.#point = {
      x: clamp((event.clientX - box.left) / box.width, 0, 1),
      y: clamp((event.clientY - box.top) / box.height, 0, 1),
    };
    this.#probe.hidden = true;
    this.#name();
  }

  #key(event: KeyboardEvent): void {
    const step = event.shiftKey ? 0.1 : 0.02;
    const moves: Record<string, readonly [number, number]> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#point = { x: clamp(this.#point.x + move[0], 0, 1), y: clamp(this.#point.y + move[1], 0, 1) };
    this.#probe.hidden = false;
    this.#name();
  }

  /** Names the class at the point, beside it, and marks its entry in the legend. */
  #name(): void {
    if (this.#mask === undefined) return;
    const { width, height, ids, classes } = this.#mask;
    const column = Math.min(width - 1, Math.floor(this.#point.x * width));
    const row = Math.min(height - 1, Math.floor(this.#point.y * height));
    const id = ids[row * width + column]!;
    this.#view.style.setProperty('--x', String(this.#point.x));
    this.#view.style.setProperty('--y', String(this.#point.y));
    this.#under.hidden = false;
    const name = classes[id]?.name ?? '';
    if (this.#under.textContent !== name) this.#under.textContent = name;
    this.#mark(id);
  }

  #forget(): void {
    this.#under.hidden = true;
    this.#probe.hidden = true;
    this.#mark(undefined);
  }

  #mark(id: number | undefined): void {
    for (const [one, entry] of this.#entries) entry.classList.toggle('under-pointer', one === id);
  }
}

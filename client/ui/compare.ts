import { find } from './dom.ts';

/** A point of the stage in CSS pixels from its top-left corner. */
interface Point {
  readonly x: number;
  readonly y: number;
}

const maxZoom = 16;
const panStep = 40;

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/**
 * Two pictures in one place with a divider between them. Both are moved by the same CSS variables on the stage (`--zoom`,
 * `--x`, `--y`, `--split`), which is what keeps them in step.
 */
export class Compare {
  readonly #root: HTMLElement;
  readonly #stage: HTMLElement;
  readonly #handle: HTMLElement;
  readonly #before: HTMLImageElement;
  readonly #after: HTMLImageElement;
  readonly #label: HTMLElement;
  readonly #pointers = new Map<number, Point>();
  #split = 50;
  #zoom = 1;
  #x = 0;
  #y = 0;
  #dragsSplit = false;

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#stage = find(root, '.stage');
    this.#handle = find(root, '[role=slider]');
    this.#before = find(root, 'img.before');
    this.#after = find(root, 'img.after');
    this.#label = find(root, '.zoom-level');
    this.#listen();
  }

  /** Shows a pair; resolves when the restored picture is on the screen. Without `before` the divider is hidden. */
  async show(before: string, after: string): Promise<void> {
    this.#after.src = after;
    this.#before.src = before;
    const [hasBefore] = await Promise.all([decodes(this.#before), this.#after.decode()]);
    this.#root.classList.toggle('only-after', !hasBefore);
    const { naturalWidth, naturalHeight } = this.#after;
    this.#root.style.setProperty('--width', String(naturalWidth));
    this.#root.style.setProperty('--height', String(naturalHeight));
    this.#moveSplit(50);
    this.#fit();
  }

  #listen(): void {
    const stage = this.#stage;
    stage.addEventListener('pointerdown', (event) => this.#press(event));
    stage.addEventListener('pointermove', (event) => this.#drag(event));
    for (const type of ['pointerup', 'pointercancel'] as const) {
      stage.addEventListener(type, (event) => this.#pointers.delete(event.pointerId));
    }
    stage.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    stage.addEventListener('dblclick', (event) => this.#toggleZoom(this.#pointOf(event)));
    this.#handle.addEventListener('keydown', (event) => this.#handleKey(event));
    stage.addEventListener('keydown', (event) => this.#stageKey(event));
    for (const button of this.#root.querySelectorAll<HTMLButtonElement>('[data-zoom]')) {
      button.addEventListener('click', () => this.#command(button.dataset.zoom ?? ''));
    }
    new ResizeObserver(() => this.#paint()).observe(stage);
  }

  #command(name: string): void {
    if (name === 'in') this.#zoomAt(this.#centre(), this.#zoom * 1.5);
    else if (name === 'out') this.#zoomAt(this.#centre(), this.#zoom / 1.5);
    else if (name === 'actual') this.#zoomAt(this.#centre(), this.#actualSize());
    else if (name === 'full') void toggleFullscreen(this.#root);
    else this.#fit();
  }

  #press(event: PointerEvent): void {
    if (event.button !== 0) return;
    const onHandle = event.target instanceof Node && this.#handle.contains(event.target);
    this.#pointers.set(event.pointerId, this.#pointOf(event));
    this.#stage.setPointerCapture(event.pointerId);
    // A picture that fits has nowhere to go, so dragging it moves the divider.
    this.#dragsSplit = this.#pointers.size === 1 && (onHandle || this.#zoom === 1);
    if (this.#dragsSplit) this.#moveSplitTo(this.#pointOf(event));
    if (onHandle) this.#handle.focus();
  }

  #drag(event: PointerEvent): void {
    const from = this.#pointers.get(event.pointerId);
    if (from === undefined) return;
    const to = this.#pointOf(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, to);
    if (other !== undefined) this.#pinch(other, from, to);
    else if (this.#dragsSplit) this.#moveSplitTo(to);
    else this.#pan(to.x - from.x, to.y - from.y);
  }

  /** One finger rests at `other`, one goes `from` -> `to`: zoom by the ratio of distances, about the point between. */
  #pinch(other: Point, from: Point, to: Point): void {
    const ratio =
      Math.hypot(to.x - other.x, to.y - other.y) / Math.max(1, Math.hypot(from.x - other.x, from.y - other.y));
    this.#dragsSplit = false;
    this.#zoomAt({ x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 }, this.#zoom * ratio);
    this.#pan((to.x - from.x) / 2, (to.y - from.y) / 2);
  }

  /** The bare wheel scrolls the page as everywhere; with Ctrl or Cmd (and so by a trackpad's pinch) it zooms. */
  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.#zoomAt(this.#pointOf(event), this.#zoom * Math.exp(-event.deltaY / 200));
  }

  #handleKey(event: KeyboardEvent): void {
    const step = event.shiftKey ? 10 : 1;
    const to: Record<string, number> = {
      ArrowLeft: this.#split - step,
      ArrowDown: this.#split - step,
      ArrowRight: this.#split + step,
      ArrowUp: this.#split + step,
      PageDown: this.#split - 10,
      PageUp: this.#split + 10,
      Home: 0,
      End: 100,
    };
    const split = to[event.key];
    if (split === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#moveSplit(split);
  }

  #stageKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pans: Record<string, Point> = {
      ArrowLeft: { x: panStep, y: 0 },
      ArrowRight: { x: -panStep, y: 0 },
      ArrowUp: { x: 0, y: panStep },
      ArrowDown: { x: 0, y: -panStep },
    };
    const zooms: Record<string, string> = { '+': 'in', '=': 'in', '-': 'out', '0': 'fit', '1': 'actual' };
    const pan = pans[event.key];
    const zoom = zooms[event.key];
    if (zoom !== undefined) this.#command(zoom);
    else if (pan !== undefined && this.#zoom > 1) this.#pan(pan.x, pan.y);
    else return;
    event.preventDefault();
  }

  #pointOf(event: MouseEvent): Point {
    const box = this.#stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #centre(): Point {
    return { x: this.#stage.clientWidth / 2, y: this.#stage.clientHeight / 2 };
  }

  /** The zoom at which one pixel of the restored picture is one pixel of the screen. */
  #actualSize(): number {
    return this.#after.naturalWidth / (this.#stage.clientWidth * devicePixelRatio);
  }

  #toggleZoom(at: Point): void {
    if (this.#zoom > 1) this.#fit();
    else this.#zoomAt(at, Math.max(2, this.#actualSize()));
  }

  #fit(): void {
    this.#zoom = 1;
    this.#pan(-this.#x, -this.#y);
  }

  /** Keeps the picture's point under `at` where it is. */
  #zoomAt(at: Point, wanted: number): void {
    const zoom = clamp(wanted, 1, Math.max(maxZoom, this.#actualSize()));
    const grown = zoom / this.#zoom;
    this.#zoom = zoom;
    this.#pan((at.x - this.#x) * (1 - grown), (at.y - this.#y) * (1 - grown));
  }

  #pan(dx: number, dy: number): void {
    this.#x += dx;
    this.#y += dy;
    this.#paint();
  }

  #moveSplitTo({ x }: Point): void {
    this.#moveSplit((100 * x) / this.#stage.clientWidth);
  }

  #moveSplit(percent: number): void {
    this.#split = clamp(percent, 0, 100);
    const shown = Math.round(this.#split);
    this.#stage.style.setProperty('--split', `${this.#split}%`);
    this.#handle.setAttribute('aria-valuenow', String(shown));
    this.#handle.setAttribute('aria-valuetext', `${shown} % before, ${100 - shown} % after`);
  }

  #paint(): void {
    const { clientWidth, clientHeight, style } = this.#stage;
    this.#x = clamp(this.#x, clientWidth * (1 - this.#zoom), 0);
    this.#y = clamp(this.#y, clientHeight * (1 - this.#zoom), 0);
    style.setProperty('--zoom', String(this.#zoom));
    style.setProperty('--x', `${this.#x}px`);
    style.setProperty('--y', `${this.#y}px`);
    this.#root.classList.toggle('zoomed', this.#zoom > 1);
    const actual = this.#actualSize();
    this.#label.textContent =
      Number.isFinite(actual) && actual > 0 ? `${Math.round((100 * this.#zoom) / actual)} %` : '';
  }
}

const decodes = (image: HTMLImageElement): Promise<boolean> =>
  image.decode().then(
    () => true,
    () => false,
  );

const toggleFullscreen = (element: HTMLElement): Promise<void> =>
  document.fullscreenElement === null ? element.requestFullscreen() : document.exitFullscreen();

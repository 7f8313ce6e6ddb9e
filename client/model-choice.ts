import { type Client, findModel, type ModelInfo } from './api.ts';
import { idOf } from './local/model-source.ts';
import { byId, element, find } from './ui/dom.ts';

/** Which model of the task the page asks: `?model=NAME[@VERSION]`, or what the user chooses where there are several. */
export class ModelChoice {
  readonly #task: string;
  /** Undefined for the server's choice. */
  #name = new URLSearchParams(location.search).get('model') ?? undefined;
  #models: readonly ModelInfo[] = [];

  constructor(task: string, onChange: () => void) {
    this.#task = task;
    this.#select().addEventListener('change', ({ target }) => {
      this.#take((target as HTMLSelectElement).value);
      onChange();
    });
  }

  get name(): string | undefined {
    return this.#name;
  }

  /** Shows which model the page asks, what it is, and the others; calls `onNone` where the server has none for the task. */
  async show(client: Client, onNone: () => void): Promise<void> {
    const models = await client.models().catch(() => undefined);
    if (models === undefined) return;
    this.#models = models.filter(({ task }) => task === this.#task);
    const train = document.querySelector<HTMLDetailsElement>('#train');
    if (this.#models.length > 0) this.#describe();
    else if (train !== null) {
      train.open = true;
      onNone();
    }
  }

  #select(): HTMLSelectElement {
    return find(byId('models'), 'select');
  }

  #take(name: string): void {
    this.#name = name;
    const url = new URL(location.href);
    url.searchParams.set('model', name);
    history.replaceState(null, '', url);
    this.#describe();
  }

  #describe(): void {
    const model = findModel(this.#models, this.#task, this.#name);
    if (model !== undefined && model.name !== this.#task) this.#name ??= model.name;
    byId('model').textContent =
      model === undefined ? `${this.#name} is not on this server.` : `${idOf(model)}: ${model.description}.`;
    byId('models').hidden = this.#models.length < 2;
    const options = this.#models.map(({ name }) => element('option', { value: name, textContent: name }));
    this.#select().replaceChildren(...options);
    this.#select().value = model?.name ?? '';
  }
}

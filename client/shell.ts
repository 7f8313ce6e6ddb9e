import { type Client, createClient } from './api.ts';
import { type WebDevice, webDeviceNames } from './devices.ts';
import type { TaskName } from './local/jobs.ts';
import { idOf } from './local/model-source.ts';
import { createLocalRunner, type LocalRunner } from './local.ts';
import { keepOffline } from './offline.ts';
import type { Place, Wish } from './place.ts';
import { byId, find } from './ui/dom.ts';
import { xhrSend } from './xhr.ts';

/** One part of a page is there at a time; `none` where nobody has registered a model for it. */
export type PageState = 'empty' | 'busy' | 'done' | 'error' | 'none';

/** What every page has: the header with its sign, the switch "On this device", and the line for those who listen. */
export interface Shell {
  readonly client: Client;
  readonly local: LocalRunner;
  show(state: PageState): void;
  /** Says it to those who listen; what is said is on the screen too. */
  say(text: string): void;
  /** Where the user wants it done. */
  wished(): Pick<Wish, 'on' | 'device'>;
  /** Ticks the switch. */
  stayHere(): void;
  /** To be told where something was done: another model of the server's than the one kept is then kept. */
  doneAt(place: Place): void;
}

/** `?device=webgl` has this device do it, on that backend: for trying things out. */
function forcedDevice(): WebDevice | undefined {
  const asked = new URLSearchParams(location.search).get('device') ?? '';
  return Object.hasOwn(webDeviceNames, asked) ? (asked as WebDevice) : undefined;
}

/** startShell: wires what the page of a task shares with the others, and has it kept for offline use. */
export function startShell(task: TaskName): Shell {
  const client = createClient({ send: xhrSend });
  const here = find<HTMLInputElement>(document, 'input[name=here]');
  const forced = forcedDevice();
  if (forced !== undefined) here.checked = true;
  const main = byId('main');
  const show = (state: PageState): void => {
    main.dataset.state = state;
  };
  let kept = '';
  const refreshOffline = async (): Promise<void> => {
    const state = await keepOffline(client, task);
    kept = state.ready ? state.model : '';
    const sign = byId('offline');
    sign.hidden = !state.ready;
    sign.textContent = state.ready ? 'Works offline' : '';
    sign.title = state.ready ? `This page, its runtime and ${state.model} are kept on this device` : '';
    if (!state.ready) console.info(`Not available offline: ${state.reason}`);
  };
  void refreshOffline();
  void describeModel(client, task, () => main.dataset.state === 'empty' && show('none'));
  return {
    client,
    local: createLocalRunner(),
    show,
    say: (text) => {
      byId('status').textContent = text;
    },
    wished: () => ({ on: here.checked ? 'device' : 'auto', device: forced ?? 'auto' }),
    stayHere: () => {
      here.checked = true;
    },
    doneAt: (place) => {
      if (place.kind === 'server' && place.model !== kept) void refreshOffline();
    },
  };
}

/** Says which model the page asks, and what it is; where the list of models has none for the task, the page says how to get one. */
async function describeModel(client: Client, task: TaskName, onNone: () => void): Promise<void> {
  const models = await client.models().catch(() => undefined);
  if (models === undefined) return;
  const model = models.find((one) => one.task === task && one.active) ?? models.find((one) => one.task === task);
  const train = document.querySelector<HTMLDetailsElement>('#train');
  if (model !== undefined) byId('model').textContent = `${idOf(model)}: ${model.description}.`;
  else if (train !== null) {
    train.open = true;
    onNone();
  }
}

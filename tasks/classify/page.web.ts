import { PhotoPage } from '../../client/photo-page.ts';
import { serverOrDevice } from '../../client/place.ts';
import { startShell } from '../../client/shell.ts';
import { byId, element } from '../../client/ui/dom.ts';
import { showPhoto } from '../../client/ui/photo.ts';
import { shareWords } from '../../client/ui/words.ts';
import type { hereTask } from './here.web.ts';
import type { LabelProbability } from './infer.ts';

const shell = startShell<typeof hereTask>('classify');
const { client, local } = shell;
const top = 5;

/** A label with its probability, as number and bar. */
function barOf({ label, probability }: LabelProbability): HTMLLIElement {
  const bar = element('span', { className: 'bar' });
  bar.style.setProperty('--share', String(probability));
  const name = element('span', { className: 'name', textContent: label });
  return element('li', {}, name, element('span', { className: 'share', textContent: shareWords(probability) }), bar);
}

function showLabels([likeliest, ...others]: readonly LabelProbability[]): void {
  const { label = '', probability = 0 } = likeliest ?? {};
  byId('likeliest').replaceChildren(
    element('strong', { textContent: label }),
    ' ',
    element('span', { className: 'share', textContent: shareWords(probability) }),
  );
  byId('others').hidden = others.length === 0;
  byId('bars').replaceChildren(...others.map(barOf));
}

new PhotoPage<readonly LabelProbability[]>(shell, {
  run: (file, wish) =>
    serverOrDevice(client, wish, {
      server: async (call) => {
        const { body, ...facts } = await client.classify(file, { top, ...call });
        return { result: body.labels, ...facts };
      },
      device: (call) => local.run({ file, device: wish.device, top }, call),
    }),
  present: async ({ result }, _file, url) => {
    const photo = byId<HTMLImageElement>('photo');
    photo.hidden = !(await showPhoto(photo, url));
    showLabels(result);
    return byId('likeliest');
  },
});

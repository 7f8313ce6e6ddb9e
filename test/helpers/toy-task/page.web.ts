import { PhotoPage } from '../../../client/photo-page.ts';
import { serverOrDevice } from '../../../client/place.ts';
import { startShell } from '../../../client/shell.ts';
import { byId } from '../../../client/ui/dom.ts';
import type { BrightnessBody } from './contract.ts';
import type { hereTask } from './here.web.ts';

const shell = startShell<typeof hereTask>('brightness');
const { client, local } = shell;

new PhotoPage<number>(shell, {
  run: (file, wish) =>
    serverOrDevice(client, wish, {
      server: async (call) => {
        const { body, ...facts } = await client.post('/v1/brightness', file, {}, call);
        const { brightness } = JSON.parse(await body.text()) as BrightnessBody;
        return { result: brightness, ...facts };
      },
      device: (call) => local.run({ file, device: wish.device }, call),
    }),
  present: async ({ result }) => {
    const output = byId('brightness');
    output.textContent = result.toFixed(4);
    return output;
  },
});

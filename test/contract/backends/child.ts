/* A backend of Node in a process of its own: Vulkan reads its settings once, and a device's crash is its own. */

import { messageOf } from '../../../training/core/errors.ts';
import { chooseDevice, type NodeDevice, openSession } from '../../../training/run/ort.node.ts';
import { doJob, type Job, type OpenJob } from './jobs.ts';

/** What the process states: that the device is there, why it is not, or the answer to a job. */
export type ChildMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'answer'; readonly answer: unknown }
  | { readonly kind: 'failure'; readonly text: string };

const send = (message: ChildMessage): Promise<void> =>
  new Promise((resolve) => process.send!(message, () => resolve()));

const device = process.argv[2] as NodeDevice;
const open: OpenJob = (model, { strict = false } = {}) => openSession(model, { device, strict, threads: 1 });

process.on('message', async (job: Job) => {
  try {
    await send({ kind: 'answer', answer: await doJob(job, open) });
  } catch (error) {
    await send({ kind: 'failure', text: messageOf(error) });
  }
});
process.once('disconnect', () => process.exit());

await chooseDevice(device).then(
  () => send({ kind: 'ready' }),
  (error: unknown) => send({ kind: 'absent', reason: messageOf(error) }),
);

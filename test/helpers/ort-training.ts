import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ArtifactSet } from '../../training/export/ort-artifacts.ts';
import type { Tensors } from '../../training/run/session.ts';

export type Request =
  | { readonly kind: 'create'; readonly artifacts: ArtifactSet }
  | { readonly kind: 'train' | 'evaluate'; readonly batch: Tensors }
  | { readonly kind: 'update' }
  | { readonly kind: 'parameters'; readonly trainedOnly: boolean };
export type Reply = { readonly value: unknown } | { readonly error: string };

export interface Created {
  readonly trainingInputNames: readonly string[];
  readonly trainingOutputNames: readonly string[];
  readonly evalInputNames: readonly string[];
  readonly evalOutputNames: readonly string[];
}

/** A session of ONNX Runtime's own training over our artifacts. */
export interface OrtTrainer extends Created {
  /** Forward and backward; gradients add up until an update. Returns all outputs. */
  train(batch: Tensors): Promise<Tensors>;
  /** One update, after which gradients begin anew. */
  update(): Promise<void>;
  evaluate(batch: Tensors): Promise<Tensors>;
  /** Values of the parameters in the training graph's order, one after the other. Nothing may be run afterwards. */
  parameters(trainedOnly: boolean): Promise<Float32Array>;
  release(): void;
}

/**
 * Opens a session in a process of its own: `getContiguousParameters` of 1.19.2 frees memory of its stack, after which the next run may spin
 * for ever. So `parameters` is for the end.
 */
export async function ortTrainer(artifacts: ArtifactSet): Promise<OrtTrainer> {
  const child = fork(fileURLToPath(new URL('ort-training-child.js', import.meta.url)), { serialization: 'advanced' });
  let settle: (reply: Reply) => void = () => {};
  child.on('message', (reply: Reply) => settle(reply));
  child.on('exit', (code) => settle({ error: `the process ended with ${code}` }));
  const ask = async <T>(request: Request): Promise<T> => {
    const reply = await new Promise<Reply>((resolve) => {
      settle = resolve;
      child.send(request);
    });
    if ('error' in reply) throw new Error(reply.error);
    return reply.value as T;
  };
  const release = (): void => void child.kill('SIGKILL');
  try {
    return {
      ...(await ask<Created>({ kind: 'create', artifacts })),
      train: (batch) => ask({ kind: 'train', batch }),
      update: () => ask({ kind: 'update' }),
      evaluate: (batch) => ask({ kind: 'evaluate', batch }),
      parameters: (trainedOnly) => ask({ kind: 'parameters', trainedOnly }),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

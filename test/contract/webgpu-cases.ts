import type { Form } from '../golden/compute.ts';
import { type GoldenCase, goldenCases } from '../golden/fixtures.ts';
import { layerForm } from '../golden/layer-forms.ts';
import { opForm } from '../golden/op-forms.ts';

/** What the child process says, one message each. `errors` are relative, by the name of the output or gradient. */
export type DeviceReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'absent'; readonly reason: string }
  | {
      readonly kind: 'case';
      readonly title: string;
      readonly errors?: Readonly<Record<string, number>>;
      readonly failure?: string;
    };

/** Recurrent nets of more than a few steps: the same operators again, each in minutes of shader compilation on a software device. */
const isLong = ({ op, name }: GoldenCase): boolean =>
  ['rnn', 'gru', 'lstm'].includes(op) && !name.includes('1 layers, 3 steps');

/** The functions with their gradients; optimisers are tested on the CPU. */
export const deviceCases = goldenCases.filter((golden) => golden.steps === undefined && !isLong(golden));

/** How a case is said: by a layer where there is one, else by operators. */
export const formFor = (golden: GoldenCase): { readonly golden: GoldenCase; readonly form: Form } =>
  layerForm(golden) ?? { golden, form: opForm(golden)! };

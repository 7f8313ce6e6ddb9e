/** The architectures that the command line knows, for `fettle summary` and `fettle export --arch`; scripts/cli/architectures.ts builds them. */
export const architectureNames = [
  'restore-unet',
  'unet',
  'resnet18',
  'resnet34',
  'resnet50',
  'vgg16_bn',
  'densenet121',
  'mnist-basic',
  'mnist-conv',
  'mnist-resnet',
  'mnist-dense',
  'human-numbers-0',
  'human-numbers-1',
  'human-numbers-2',
  'human-numbers-3',
  'human-numbers-4',
  'human-numbers-5',
] as const;
export type ArchitectureName = (typeof architectureNames)[number];

export const encoderNames = ['resnet18', 'resnet34', 'resnet50', 'vgg16_bn', 'densenet121', 'small'] as const;
export type EncoderName = (typeof encoderNames)[number];

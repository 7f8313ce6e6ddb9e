import { classifyContract } from './classify/contract.ts';
import { restoreContract } from './restore/contract.ts';
import { segmentContract } from './segment/contract.ts';
import { textContract } from './text/contract.ts';

/** Every task of fettle, in the order of the pages' links. */
export const contracts = [restoreContract, segmentContract, classifyContract, textContract] as const;

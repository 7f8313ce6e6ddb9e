import { fileURLToPath } from 'node:url';
import { pageConfig } from '../scripts/repo/pages.ts';
import { contracts } from '../tasks/contracts.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

export default pageConfig(contracts, { root, outDir: fileURLToPath(new URL('../dist/client', import.meta.url)) });

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const partOf = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`parts/${name}.html`, import.meta.url)), 'utf8').trimEnd();

/** `/segment.html` -> `/segment`: the address at which a page is served. */
export const addressOf = (file: string): string => `/${file.replace(/^\//, '').replace(/(?:^index)?\.html$/, '')}`;

/** Puts what the pages share, `parts/NAME.html`, where a page says `<!-- part: NAME -->`, and marks the page's own link in the navigation. */
export const pageParts = (): Plugin => ({
  name: 'fettle:page-parts',
  transformIndexHtml: {
    order: 'pre',
    handler: (html, { path }) =>
      html
        .replace(/<!-- part: (\w+) -->/g, (_, name: string) => partOf(name))
        .replace(`<a href="${addressOf(path)}"`, '$& aria-current="page"'),
  },
});

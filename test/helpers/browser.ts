import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

/** Where Chromium is: `CHROMIUM_PATH`, else Debian's. */
const chromiumPath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Why tests in a browser cannot run here, or undefined. With `FETTLE_REQUIRE_BROWSER=1` that is an error, not a skip. */
export function whyNoBrowser(): string | undefined {
  if (existsSync(chromiumPath)) return undefined;
  const reason = `no Chromium at ${chromiumPath} (set CHROMIUM_PATH, or install Debian's package chromium)`;
  if (process.env.FETTLE_REQUIRE_BROWSER === '1') throw new Error(reason);
  return reason;
}

/**
 * Software WebGPU and WebGL (SwiftShader), so that every backend runs without a GPU; no traffic of the browser's own;
 * no sandbox, because containers run tests as root.
 */
const flags = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
];

export interface Browser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

export interface Viewport {
  readonly width: number;
  readonly height: number;
}

export interface BrowserOptions {
  readonly viewport?: Viewport;
  /** False where a test answers requests itself: those of a page with a service worker it may not get to see. */
  readonly serviceWorkers?: boolean;
}

/** openBrowser: a fresh profile in a temporary folder, so that caches and service workers live as long as the context. */
export async function openBrowser({
  viewport = { width: 1100, height: 800 },
  serviceWorkers = true,
}: BrowserOptions = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'fettle-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    args: flags,
    viewport,
    serviceWorkers: serviceWorkers ? 'allow' : 'block',
  });
  // Software devices on a machine that is busy with other tests: what takes a second here takes half a minute there.
  context.setDefaultTimeout(120_000);
  context.setDefaultNavigationTimeout(120_000);
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

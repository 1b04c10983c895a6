// Finds a Chromium for the browser tests, or installs Debian's; prints its path. CHROMIUM=<path> overrides the search.
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

const usable = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

export function findChromium() {
  if (process.env.CHROMIUM) return usable(process.env.CHROMIUM) ? process.env.CHROMIUM : null;
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
  const folders = (process.env.PATH ?? '').split(':').concat('/usr/bin', '/snap/bin');
  const paths = folders.flatMap((folder) => names.map((name) => `${folder}/${name}`));
  paths.push('/Applications/Google Chrome.app/Contents/MacOS/Google Chrome');
  return paths.find(usable) ?? null;
}

const noto = () => spawnSync('fc-list', [':lang=th'], { encoding: 'utf8' }).stdout?.trim();

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const debian = usable('/usr/bin/apt-get') && process.getuid?.() === 0;
  const missing = [...(findChromium() ? [] : ['chromium']), ...(noto() ? [] : ['fontconfig', 'fonts-noto-core', 'fonts-noto-cjk'])];
  if (missing.length && debian) {
    console.log(`installing ${missing.join(' ')} from Debian`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { stdio: ['ignore', 'ignore', 'inherit'], env });
  }
  const found = findChromium();
  if (!found) {
    console.error('No Chromium found. Install one, or set CHROMIUM to the path of a Chrome or Chromium of version 137 or later.');
    process.exit(1);
  }
  console.log(`chromium: ${found}`);
}

// Builds the console aside and compares it with the committed files: the page that is embedded in
// the server must be the one that the sources describe.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const web = fileURLToPath(new URL('..', import.meta.url));
const committed = join(web, '../src/console/assets');

function list(folder, root = folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? list(path, root) : [relative(root, path)];
  }).sort();
}

const aside = mkdtempSync(join(tmpdir(), 'recado-console-'));
try {
  await build({ root: web, logLevel: 'warn', build: { outDir: aside, emptyOutDir: true } });
  const names = [...new Set([...list(aside), ...list(committed)])];
  const stale = names.filter((name) => {
    try {
      return !readFileSync(join(aside, name)).equals(readFileSync(join(committed, name)));
    } catch {
      return true;
    }
  });
  if (stale.length > 0) {
    console.error(`src/console/assets is stale (${stale.join(', ')}): run "npm run build" in web/`);
    process.exitCode = 1;
  } else {
    console.log(`src/console/assets is fresh: ${names.length} files`);
  }
} finally {
  rmSync(aside, { recursive: true, force: true });
}

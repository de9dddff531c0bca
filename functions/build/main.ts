import { mkdir, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { seal } from './finalize-bundle.ts';

/** The entrances that go into the image. */
const entrances = ['webhook', 'clone', 'backfill', 'restore', 'generations'];

/** CommonJS packages inside the bundle ask for these. */
const banner = `import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));`;

await rm('dist', { recursive: true, force: true });
await mkdir('dist');
await build({
  entryPoints: Object.fromEntries(entrances.map((name) => [name, `functions/${name}/main.ts`])),
  outdir: 'dist',
  bundle: true,
  // Shared chunks: a single file of 3 MB takes twice as long to start.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.20',
  external: ['*.node'],
  banner: { js: banner },
  minifySyntax: true,
  legalComments: 'linked',
  logLevel: 'warning',
});
// Without it Node parses each file twice to find out that it is a module.
await writeFile('dist/package.json', '{"type":"module"}\n');
await seal({
  dir: 'dist',
  // The time of the last commit, by the justfile.
  epoch: Number(process.env['SOURCE_DATE_EPOCH'] ?? '0') || 0,
  // A single component, /app say, may be anybody's.
  paths: [process.cwd()].filter((path) => path.split('/').length > 2),
});

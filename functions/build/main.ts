import { mkdir, rm, writeFile } from 'node:fs/promises';
import { build, type Plugin } from 'esbuild';
import { finalizeBundle } from './finalize-bundle.ts';

/** The program with all commands, and the files that some of them had before it. */
const commandEntries = {
  'image-cloner': 'functions/cli/main.ts',
  clone: 'functions/clone/main.ts',
  backfill: 'functions/backfill/main.ts',
  restore: 'functions/restore/main.ts',
  generations: 'functions/generations/main.ts',
};

/** `image-cloner` loads the finished file of the webhook. */
const finishedWebhook: Plugin = {
  name: 'finished-webhook',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/webhook\/main\.ts$/ }, () => ({
      path: './webhook.js',
      external: true,
    }));
  },
};

/** CommonJS packages in the bundle need these globals. */
const banner = `import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));`;

await rm('dist', { recursive: true, force: true });
await mkdir('dist');
// The webhook is bundled alone: each entry point that shares code with it would divide that code into more files to load at a start.
await bundle({ webhook: 'functions/webhook/main.ts' });
await bundle(commandEntries, [finishedWebhook]);
// Without it, Node parses each file twice to detect that it is a module.
await writeFile('dist/package.json', '{"type":"module"}\n');
await finalizeBundle({
  dir: 'dist',
  // The justfile sets the time of the last commit.
  epoch: Number(process.env['SOURCE_DATE_EPOCH'] ?? '0') || 0,
  // A path of one component, such as /app, is too common to identify the build machine.
  paths: [process.cwd()].filter((path) => path.split('/').length > 2),
});

async function bundle(
  entryPoints: Readonly<Record<string, string>>,
  plugins: readonly Plugin[] = [],
): Promise<void> {
  await build({
    entryPoints,
    outdir: 'dist',
    bundle: true,
    // Shared chunks start in half the time of a single file of 3 MB.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.20',
    external: ['*.node'],
    plugins: [...plugins],
    banner: { js: banner },
    minifySyntax: true,
    legalComments: 'linked',
    logLevel: 'warning',
  });
}

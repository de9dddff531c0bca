import { spawn } from 'node:child_process';
import { glob, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Files that leave nothing behind in their process: each group runs in one process, since starting a process costs more than most
 * files do. All other files keep a process: those with hooks outside a `describe`, memory limits, or programs that they start.
 */
const groups: Readonly<Record<string, readonly string[]>> = {
  pure: [
    '{image,admission,config,util,install,knative}/**/*',
    'cloner/{queue,source,registry-health}/*',
    'functions/{build,shared}/*',
    'functions/deploy/{manifests,preflight,status}/*',
  ],
  kubernetes: ['fleet/*', 'adapters/{kubernetes,credentials}/*'],
  webhook: [
    'functions/webhook/{app,attack,body,body-queue,client-certificate,certificate-expiry,flags,server}',
  ],
  // nock replaces the HTTP client of its whole process, from its import on.
  nock: [
    'adapters/registry/auth/authorizer',
    'adapters/registry/client/{repository-client,transport}',
  ],
  registry: [
    'memory-registry/**/*',
    'generations/*',
    'cloner/{backup,replicas}/*',
    'cloner/{cached-source-tag,concurrent-copies}',
    'adapters/{*,docker/{cloner,contract,daemon-error,json-stream,layer-progress}}',
    'adapters/registry/{*,errors/*,http/*}',
    'adapters/registry/auth/{challenge,realm,token,token-budget}',
    'adapters/registry/client/{cooldown,manifest,upload-location}',
  ],
  copies: ['adapters/registry/copy/*'],
};

const args = process.argv.slice(2);
const flags = args.filter((arg) => arg.startsWith('-'));
const named = args.filter((arg) => !arg.startsWith('-'));
const dir = await mkdtemp(join(tmpdir(), 'image-cloner-test-'));
try {
  const files = named.length > 0 ? named : await allFiles();
  process.exitCode = await runTests(files);
} finally {
  await rm(dir, { recursive: true });
}

/** Every test file: those of a group by a file that imports them, the others by name. */
async function allFiles(): Promise<readonly string[]> {
  const all = new Set(await matches('test/**/*.test.ts'));
  const entries: string[] = [];
  for (const [name, patterns] of Object.entries(groups)) {
    const files = await matches(patterns.map((pattern) => `test/${pattern}.test.ts`));
    const imports = files.map((file) => `import ${JSON.stringify(pathToFileURL(resolve(file)))};`);
    const entry = join(dir, `${name}.mjs`);
    await writeFile(entry, imports.join('\n'));
    entries.push(entry);
    for (const file of files) all.delete(file);
  }
  return [...entries, ...all];
}

async function matches(pattern: string | readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob(pattern)) files.push(file);
  return files.toSorted();
}

async function runTests(files: readonly string[]): Promise<number> {
  const options = ['--import', 'tsx', '--test', `--test-concurrency=${availableParallelism()}`];
  const child = spawn(process.execPath, [...options, ...flags, ...files], { stdio: 'inherit' });
  return await new Promise((done) => {
    child.on('close', (code) => done(code ?? 1));
  });
}

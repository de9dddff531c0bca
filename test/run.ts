import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Each group runs in one process, because starting a process takes longer than most files. Files with hooks outside a `describe`,
 * with memory limits or with child processes are in no group and run in a process each.
 */
const groups: Readonly<Record<string, readonly string[]>> = {
  pure: [
    '{image,admission,config,util,install,knative}/**/*',
    'cloner/{queue,source,registry-health}/*',
    'functions/{build,shared}/*',
    'functions/clone/plan-image',
    'functions/deploy/**/*',
  ],
  kubernetes: ['fleet/*', 'adapters/{kubernetes,credentials}/*'],
  webhook: [
    'functions/webhook/{app,attack,body,body-queue,client-certificate,certificate-expiry,flags,gateway-certificate,server}',
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
    'adapters/registry/client/{client-pool,manifest,upload-location}',
  ],
  copies: ['adapters/registry/copy/*'],
};

// `npm test -- FILE…` runs only these files. Other arguments are flags of Node, such as `--test-name-pattern TITLE`.
const args = process.argv.slice(2);
const named = args.filter((arg) => !arg.startsWith('-') && arg.endsWith('.ts'));
const flags = args.filter((arg) => !named.includes(arg));
const dir = await mkdtemp(join(tmpdir(), 'image-cloner-test-'));
try {
  process.exitCode = await runTests(named.length > 0 ? named : await allFiles(dir));
} finally {
  await rm(dir, { recursive: true });
}

/** Every test file: those of a group by a file in `dir` that imports them, the others by name. */
async function allFiles(dir: string): Promise<readonly string[]> {
  const all = new Set(globSync('test/**/*.test.ts').toSorted());
  const entries: string[] = [];
  for (const [name, patterns] of Object.entries(groups)) {
    const files = globSync(patterns.map((pattern) => `test/${pattern}.test.ts`)).toSorted();
    const imports = files.map((file) => `import ${JSON.stringify(pathToFileURL(resolve(file)))};`);
    const entry = join(dir, `${name}.mjs`);
    await writeFile(entry, imports.join('\n'));
    entries.push(entry);
    for (const file of files) all.delete(file);
  }
  return [...entries, ...all];
}

async function runTests(files: readonly string[]): Promise<number> {
  const options = ['--import', 'tsx', '--test', `--test-concurrency=${availableParallelism()}`];
  const child = spawn(process.execPath, [...options, ...flags, ...files], { stdio: 'inherit' });
  return await new Promise((done) => {
    child.on('close', (code) => done(code ?? 1));
  });
}

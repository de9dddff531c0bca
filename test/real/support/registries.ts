import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createMemoryRegistry,
  type MemoryRegistryOptions,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import {
  type Registry,
  type RegistryUser,
  startRegistry,
  writeHtpasswd,
} from './docker-registry.ts';
import { createTempDir } from './janitor.ts';
import { findFreePort } from './port.ts';
import { startProcess } from './process.ts';
import { lookUpProgram } from './program.ts';
import { probe } from './request.ts';

export type AnyRegistry = Pick<Registry, 'host' | 'request' | 'stop'>;

/** One implementation of the distribution API that the real tests run. */
interface RegistryKind {
  readonly name: string;
  /** Absent for the in-memory registry. */
  readonly program?: string;
  /** Whether the tests pass without the program, because no package of a distribution has it. @default false */
  readonly isOptional?: boolean;
  /** Whether it has no authentication. @default false */
  readonly isOpen?: boolean;
  /** Whether it takes OCI media types only. @default false */
  readonly isOciOnly?: boolean;
  /** Whether a DELETE by digest leaves the tags of that digest. @default false */
  readonly leavesTags?: boolean;
  /** Whether it answers a mount with an upload session; zot does so without `dedupe`. @default false */
  readonly refusesMounts?: boolean;
  /** Without a user, access is anonymous. */
  start(user?: RegistryUser): Promise<AnyRegistry>;
}

const kinds: readonly RegistryKind[] = [
  {
    name: 'distribution 2.8',
    program: 'docker-registry',
    start: (user) => startRegistry({ users: toList(user) }),
  },
  {
    name: 'distribution 3',
    program: 'registry3',
    start: (user) => startRegistry({ program: 'registry3', users: toList(user) }),
  },
  {
    name: 'crane registry serve',
    program: 'crane',
    isOpen: true,
    leavesTags: true,
    start: startCrane,
  },
  {
    name: 'zot',
    program: 'zot',
    isOptional: true,
    isOciOnly: true,
    refusesMounts: true,
    start: startZot,
  },
  {
    name: 'zot with docker2s2',
    program: 'zot',
    isOptional: true,
    refusesMounts: true,
    start: (user) => startZot(user, ['docker2s2']),
  },
  { name: 'the memory registry', start: startMemory },
];

/** The kinds whose program is installed, and why the others are missing. */
export const registryKinds = kinds.filter((kind) => whyMissing(kind) === undefined);
export const missingKinds = kinds.flatMap((kind) => {
  const reason = whyMissing(kind);
  return reason === undefined ? [] : [{ ...kind, reason }];
});

function whyMissing({ name, program }: RegistryKind): string | undefined {
  if (program === undefined || lookUpProgram(program) !== undefined) return undefined;
  return `${name} is not tested: ${program} is not in PATH`;
}

async function startCrane(): Promise<AnyRegistry> {
  const host = `127.0.0.1:${await findFreePort()}`;
  const server = await startProcess({
    program: 'crane',
    args: ['registry', 'serve', '--address', host],
    dir: createTempDir('crane'),
    isReady: () => answersOn(host),
  });
  return toRegistry(host, undefined, () => server.stop());
}

async function startZot(user?: RegistryUser, compat: readonly string[] = []): Promise<AnyRegistry> {
  const dir = createTempDir('zot');
  const port = await findFreePort();
  const host = `127.0.0.1:${port}`;
  const auth = user && { htpasswd: { path: await writeHtpasswd(dir, [user]) } };
  const config = {
    storage: { rootDirectory: join(dir, 'data'), gc: false, dedupe: false },
    http: { address: '127.0.0.1', port: String(port), compat, ...(auth && { auth }) },
    log: { level: 'error' },
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  const server = await startProcess({
    program: 'zot',
    args: ['serve', join(dir, 'config.json')],
    dir,
    isReady: () => answersOn(host),
  });
  return toRegistry(host, user, () => server.stop());
}

async function startMemory(user?: RegistryUser): Promise<AnyRegistry> {
  const options: MemoryRegistryOptions = user
    ? { auth: { scheme: 'basic', users: { [user.name]: user.password } } }
    : {};
  const { host, close } = await serveMemoryRegistry({ registry: createMemoryRegistry(options) });
  return toRegistry(host, user, close);
}

async function answersOn(host: string): Promise<boolean> {
  const status = await probe(`http://${host}/v2/`);
  return status === 200 || status === 401;
}

function toRegistry(
  host: string,
  user: RegistryUser | undefined,
  stop: () => Promise<unknown>,
): AnyRegistry {
  const password = user && Buffer.from(`${user.name}:${user.password}`).toString('base64');
  return {
    host,
    request: async (path, init = {}) => {
      const headers = new Headers(init.headers);
      if (password !== undefined) headers.set('authorization', `Basic ${password}`);
      return await fetch(new URL(path, `http://${host}/v2/`), { ...init, headers });
    },
    stop: async () => {
      await stop();
    },
  };
}

function toList(user: RegistryUser | undefined): readonly RegistryUser[] {
  return user === undefined ? [] : [user];
}

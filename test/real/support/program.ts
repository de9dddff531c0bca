import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { theJanitor } from './janitor.ts';

export interface ProgramResult {
  /** `-1` if a signal ended the program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  /** Added to PATH and HOME, the only inherited variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** @default two minutes */
  readonly withinMs?: number;
}

/** Where the tests find the real components. */
const whereToGet: ReadonlyMap<string, string> = new Map([
  ['etcd', 'set KUBEBUILDER_ASSETS ("setup-envtest use 1.36" prints it)'],
  ['kube-apiserver', 'set KUBEBUILDER_ASSETS ("setup-envtest use 1.36" prints it)'],
  ['kubectl', 'set KUBEBUILDER_ASSETS ("setup-envtest use 1.36" prints it)'],
  ['dockerd', 'install Docker Engine (Debian: docker.io)'],
  ['docker', "install Docker's client (Debian: docker.io)"],
  ['docker-registry', 'install distribution (Debian: docker-registry)'],
  ['registry3', 'install distribution 3 under that name'],
  ['crane', 'install it from google/go-containerregistry'],
  ['promtool', 'install Prometheus (Debian: prometheus)'],
  ['htpasswd', "install Apache's tools (Debian: apache2-utils)"],
  ['chromium', 'install a browser (Debian: chromium)'],
]);

/** The path of a program in KUBEBUILDER_ASSETS or PATH. Throws an error that names its package. */
export function findProgram(name: string): string {
  const found = lookUpProgram(name);
  if (found !== undefined) return found;
  const advice = whereToGet.get(name) ?? `install ${name}`;
  throw new Error(`the real tests need ${name}, which is not in PATH: ${advice}`);
}

/** As `findProgram`, but `undefined` if there is none. */
export function lookUpProgram(name: string): string | undefined {
  const folders = [
    process.env['KUBEBUILDER_ASSETS'] ?? '',
    ...(process.env['PATH'] ?? '').split(delimiter),
  ].filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Runs a program to its end. Resolves for any exit code; rejects only if it is not installed. */
export async function runProgram(
  name: string,
  args: readonly string[],
  { stdin = '', env = {}, withinMs = 120_000 }: RunOptions = {},
): Promise<ProgramResult> {
  const child = spawn(findProgram(name), args, { env: childEnv(env), timeout: withinMs });
  const ended = Promise.withResolvers<number>();
  child.on('error', ended.reject);
  child.on('close', (code) => ended.resolve(code ?? -1));
  // A program can exit before it reads its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const { pid } = child;
  if (pid !== undefined) theJanitor().adopt(pid);
  const [code, stdout, stderr] = await Promise.all([
    ended.promise,
    text(child.stdout),
    text(child.stderr),
  ]);
  if (pid !== undefined) theJanitor().release(pid);
  return { code, stdout, stderr };
}

/** As `runProgram`, but rejects unless the exit code is 0. */
export async function runOrThrow(
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(name, args, options);
  if (code === 0) return stdout;
  throw new Error(`${name} ${args.join(' ')} ended with code ${code}: ${stderr.trim()}`);
}

/** The environment of children, without the developer's configuration, proxies and credentials. */
export function childEnv(env: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: theJanitor().dir, ...env };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Missing or not executable: tries the next directory.
    return false;
  }
}

import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `kubectl ARGS` with our own environment, so that it talks to the cluster that the person talks to. */
export async function kubectl(args: readonly string[], stdin = ''): Promise<KubectlResult> {
  const child = spawn('kubectl', args);
  const ended = Promise.withResolvers<number>();
  child.on('error', (error) =>
    ended.reject(new Error(`kubectl cannot be run: ${error.message}`, { cause: error })),
  );
  child.on('close', (code) => ended.resolve(code ?? 1));
  // It may be gone before it has read everything; its exit code says more.
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const [code, stdout, stderr] = await Promise.all([
    ended.promise,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr: withoutLog(stderr) };
}

/** What kubectl says, without what its library logs beside it: five lines, each with a stack of errors, where one sentence follows. */
export function withoutLog(stderr: string): string {
  const said = stderr.split('\n').filter((line) => !/^[IWEF]\d{4} \d\d:\d\d:/.test(line));
  return (said.join('\n').trim() === '' ? stderr : said.join('\n')).trim();
}

/** As `kubectl`, where anything but exit code 0 is an error with what kubectl says. Resolves with its stdout. */
export async function mustKubectl(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args, stdin);
  if (code !== 0) throw new Error(stderr === '' ? `kubectl ${args.join(' ')} failed` : stderr);
  return stdout;
}

/** Resolves with what kubectl says, the cluster's warnings included. */
export async function apply(yaml: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['apply', '--filename=-'], yaml);
  if (code !== 0) throw new Error(stderr);
  return `${stderr}\n${stdout}`.trim();
}

/** The object as JSON, or `undefined` where there is none, or no such kind. */
export async function find(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await kubectl(['get', ...args, '--output=json']);
  if (code === 0) return JSON.parse(stdout);
  if (/\(NotFound\)/.test(stderr) || isUnknownKind(stderr)) return undefined;
  throw new Error(stderr);
}

/** Whether the cluster has no such kind of object. */
export function isUnknownKind(stderr: string): boolean {
  return /doesn't have a resource type|no matches for kind/.test(stderr);
}

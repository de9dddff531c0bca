import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import * as v from 'valibot';
import { dataObject, parseItems } from './objects.ts';

interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `kubectl ARGS` in this environment, so that it uses the user's current cluster. */
export async function kubectl(args: readonly string[], stdin = ''): Promise<KubectlResult> {
  const child = spawn('kubectl', args);
  const ended = Promise.withResolvers<number>();
  child.on('error', (error) =>
    ended.reject(new Error(`kubectl cannot be run: ${error.message}`, { cause: error })),
  );
  child.on('close', (code) => ended.resolve(code ?? 1));
  // kubectl can exit before it reads all of its input; the exit code is the relevant error.
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const [code, stdout, stderr] = await Promise.all([
    ended.promise,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr: withoutLog(stderr) };
}

/** Removes the klog lines of kubectl's client library, unless there is nothing else. */
export function withoutLog(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => !/^[IWEF]\d{4} \d\d:\d\d:/.test(line));
  return (lines.join('\n').trim() === '' ? stderr : lines.join('\n')).trim();
}

/** As `kubectl`, but rejects with kubectl's message unless it exits with 0. Resolves with its stdout. */
export async function mustKubectl(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args, stdin);
  if (code !== 0) throw new Error(stderr === '' ? `kubectl ${args.join(' ')} failed` : stderr);
  return stdout;
}

/** Resolves with kubectl's output, which includes the warnings of the API server. */
export async function apply(yaml: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['apply', '--filename=-'], yaml);
  if (code !== 0) throw new Error(stderr);
  return `${stderr}\n${stdout}`.trim();
}

/** The object as JSON, or `undefined` if the object or its kind does not exist. */
export async function find(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await kubectl(['get', ...args, '--output=json']);
  if (code === 0) return JSON.parse(stdout);
  if (/\(NotFound\)/.test(stderr) || isUnknownKind(stderr)) return undefined;
  throw new Error(stderr);
}

/** As `find`, but parsed. */
export async function findObject<const Schema extends v.GenericSchema>(
  schema: Schema,
  ...args: readonly string[]
): Promise<v.InferOutput<Schema> | undefined> {
  const object = await find(...args);
  return object === undefined ? undefined : v.parse(schema, object);
}

/** The items of a list of objects, none if their kind does not exist. */
export async function findItems<const Schema extends v.GenericSchema>(
  item: Schema,
  ...args: readonly string[]
): Promise<readonly v.InferOutput<Schema>[]> {
  return parseItems(item, await find(...args));
}

/** The data of a Secret (base64) or a ConfigMap, empty if the object does not exist. */
export async function readData(
  kind: 'secret' | 'configmap',
  name: string,
  namespace: string,
): Promise<Readonly<Record<string, string>>> {
  return (await findObject(dataObject, kind, name, `--namespace=${namespace}`))?.data ?? {};
}

/** Deletes objects if they and their kinds exist. Resolves with kubectl's output. */
export async function deleteObjects(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['delete', '--ignore-not-found', ...args]);
  if (code === 0 || isUnknownKind(stderr)) return stdout;
  throw new Error(stderr);
}

function isUnknownKind(stderr: string): boolean {
  return /doesn't have a resource type|no matches for kind/.test(stderr);
}

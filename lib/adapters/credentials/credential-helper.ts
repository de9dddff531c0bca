import { spawn } from 'node:child_process';
import * as v from 'valibot';
import type { Credentials } from '../../ports/index.ts';

export interface CredentialHelperOptions {
  /** The part of `docker-credential-NAME` that a docker config names. */
  readonly name: string;
  /** The only registry that the helper is asked for. */
  readonly host: string;
  /** Of the helper; its `PATH` finds the program. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** @default 5 seconds */
  readonly timeoutMs?: number;
}

const namePattern = /^[a-z0-9-]+$/;
const maxOutputLength = 64 * 1024;
/** docker's helpers answer this on standard output, with exit code 1. */
const notFound = /credentials not found/i;

const answerSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ Username: v.string(), Secret: v.string() }),
);

/** Whether a docker config may name the helper; anything else could be a path, or an argument. */
export function isHelperName(name: string): boolean {
  return namePattern.test(name);
}

/**
 * Runs `docker-credential-NAME get` and writes the host to its standard input, as docker does. Resolves with `undefined` if the
 * helper has no credentials; rejects with an `Error` that does not quote its output.
 */
export async function runCredentialHelper({
  name,
  host,
  env,
  timeoutMs = 5_000,
}: CredentialHelperOptions): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  if (!isHelperName(name)) throw new Error('the name of a credential helper is a-z, 0-9 and -');
  const signal = AbortSignal.timeout(timeoutMs);
  const child = spawn(program, ['get'], {
    env: { ...env },
    signal,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.length > maxOutputLength) child.kill('SIGKILL');
  });
  // The helper may end before it reads.
  child.stdin.on('error', () => undefined).end(host);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) => reject(toError(program, error, signal, timeoutMs)));
    child.on('close', resolve);
  });
  if (code !== 0) {
    if (notFound.test(output)) return undefined;
    throw new Error(`${program} failed for ${host}`);
  }
  const { success, output: answer } = v.safeParse(answerSchema, output, { abortEarly: true });
  if (!success) throw new Error(`${program} gave no credentials for ${host}`);
  return { username: answer.Username, password: answer.Secret };
}

function toError(program: string, error: Error, signal: AbortSignal, timeoutMs: number): Error {
  if (signal.aborted) return new Error(`${program} did not answer within ${timeoutMs / 1000} s`);
  const isMissing = 'code' in error && error.code === 'ENOENT';
  return new Error(isMissing ? `${program} is not installed` : `${program} cannot be run`);
}

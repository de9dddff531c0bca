import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { eventually } from './eventually.ts';
import { theJanitor } from './janitor.ts';
import { childEnv, findProgram } from './program.ts';

export interface ProcessOptions {
  /** A name in PATH, or an absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  /** Directory of `stdout.log` and `stderr.log`. */
  readonly dir: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly isReady: () => Promise<boolean>;
  /** @default one minute */
  readonly readyWithinMs?: number;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly waitForEnd: () => Promise<ProcessEnd>;
  /** As `waitForEnd`, but does not keep this process alive. */
  readonly onEnd: (listener: (end: ProcessEnd) => void) => void;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Sends the signal (default SIGTERM), and SIGKILL after 20 s. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<ProcessEnd>;
}

const stopTimeoutMs = 20_000;
const tailLines = 20;

/** Starts a server and waits until it is ready; otherwise rejects with the end of its log. */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { isReady, readyWithinMs = 60_000 } = options;
  const child = launchProcess(options);
  const name = basename(options.program);
  let end: ProcessEnd | undefined;
  child.onEnd((ended) => (end = ended));
  try {
    await eventually(
      `${name} is ready`,
      async () => end !== undefined || (await isReady()),
      readyWithinMs,
    );
    if (end === undefined) return child;
    throw new Error(`${name} ended with ${formatEnd(end)} before it was ready`);
  } catch (error) {
    await child.stop();
    throw new Error(`${toMessage(error)}\n${tail(child.stdout())}\n${tail(child.stderr())}`, {
      cause: error,
    });
  }
}

/** Starts a process without waiting for it. */
export function launchProcess(
  options: Omit<ProcessOptions, 'isReady' | 'readyWithinMs'>,
): RunningProcess {
  const { program, args, dir, env = {}, cwd } = options;
  const files = { stdout: join(dir, 'stdout.log'), stderr: join(dir, 'stderr.log') };
  const [stdout, stderr] = [openSync(files.stdout, 'a'), openSync(files.stderr, 'a')];
  const child = spawn(program.includes('/') ? program : findProgram(program), args, {
    env: childEnv(env),
    stdio: ['ignore', stdout, stderr],
    ...(cwd !== undefined && { cwd }),
  });
  closeSync(stdout);
  closeSync(stderr);
  const { promise: ended, resolve } = Promise.withResolvers<ProcessEnd>();
  // The process has no pid then, which is reported below.
  child.on('error', () => undefined);
  child.on('exit', (code, signal) => resolve({ code, signal }));
  // Does not keep the test process alive; the janitor kills it.
  child.unref();
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} cannot be started`);
  theJanitor().adopt(pid);
  void ended.then(() => theJanitor().release(pid));

  return {
    pid,
    waitForEnd: () => {
      child.ref();
      return ended;
    },
    onEnd: (listener) => void ended.then(listener),
    stdout: () => readFileSync(files.stdout, 'utf8'),
    stderr: () => readFileSync(files.stderr, 'utf8'),
    stop: async (signal = 'SIGTERM') => {
      child.ref();
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      return await ended.finally(() => clearTimeout(timer));
    },
  };
}

/** A server that can be stopped and started again with the same address and data. */
export interface RestartableProcess {
  /** Does nothing if the server runs. */
  readonly start: () => Promise<void>;
  /** Does nothing if the server is stopped. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
}

export async function startRestartable(options: ProcessOptions): Promise<RestartableProcess> {
  let running: RunningProcess | undefined = await startProcess(options);
  return {
    start: async () => {
      running ??= await startProcess(options);
    },
    stop: async (signal) => {
      await running?.stop(signal);
      running = undefined;
    },
  };
}

function formatEnd({ code, signal }: ProcessEnd): string {
  return code === null ? `signal ${signal ?? 'unknown'}` : `code ${code}`;
}

function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-tailLines).join('\n');
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTempDir } from '../real/support/janitor.ts';
import { findFreePort } from '../real/support/port.ts';
import { type ProcessEnd, type RunningProcess, startProcess } from '../real/support/process.ts';
import { probe } from '../real/support/request.ts';

/** One webhook process, whatever its present pid. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  /** Whether reviews may be sent to it. */
  readonly isUp: () => boolean;
  /** When it was last on its way out, in milliseconds since 1970. */
  readonly lastEndedAt: () => number;
  /** Ends it as told and starts it again. */
  readonly restart: (signal: 'SIGKILL' | 'SIGTERM') => Promise<ProcessEnd>;
  /** Ends it for good. */
  readonly stop: () => Promise<ProcessEnd>;
  /** Everything that it ever wrote. */
  readonly output: () => string;
  /** The most memory that it had at once, in MiB; `undefined` where the system does not tell. */
  readonly peakMemory: () => number | undefined;
  /** Where it may put temporary files. */
  readonly tempDir: string;
}

export interface ReplicaOptions {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
}

const patienceMs = 90_000;
const root = join(import.meta.dirname, '../..');

/** Starts the real webhook from source, and waits until it is ready. */
export async function startReplica({ name, env }: ReplicaOptions): Promise<Replica> {
  const [dir, tempDir] = [createTempDir(name), createTempDir(`${name}-tmp`)];
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  let isUp = false;
  let lastEndedAt = 0;
  let running = await start();

  async function start(): Promise<RunningProcess> {
    const started = await startProcess({
      program: process.execPath,
      args: ['--import', 'tsx', 'functions/webhook/main.ts'],
      dir,
      cwd: root,
      // tsx keeps what it has compiled below TMPDIR; without that, what is left there is ours.
      env: { ...env, PORT: String(port), TMPDIR: tempDir, TSX_DISABLE_CACHE: '1' },
      isReady: async () => (await probe(`${url}/readyz`)) === 200,
    });
    isUp = true;
    return started;
  }

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<ProcessEnd> {
    isUp = false;
    lastEndedAt = Date.now();
    // A copy that runs is finished first, through whatever faults it meets.
    const patience = setTimeout(() => void running.stop('SIGKILL'), patienceMs);
    process.kill(running.pid, signal);
    const ended = await running.waitForEnd().finally(() => clearTimeout(patience));
    lastEndedAt = Date.now();
    return ended;
  }

  return {
    name,
    url,
    tempDir,
    isUp: () => isUp,
    lastEndedAt: () => lastEndedAt,
    restart: async (signal) => {
      const ended = await end(signal);
      running = await start();
      return ended;
    },
    stop: () => end('SIGTERM'),
    output: () => readFileSync(join(dir, 'stdout.log'), 'utf8') + running.stderr(),
    peakMemory: () => {
      try {
        const status = readFileSync(`/proc/${running.pid}/status`, 'utf8');
        return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
      } catch {
        // Not Linux, or gone already.
        return undefined;
      }
    },
  };
}

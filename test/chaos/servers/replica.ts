import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTempDir } from '../../real/support/janitor.ts';
import { findFreePort } from '../../real/support/port.ts';
import { type ProcessEnd, type RunningProcess, startProcess } from '../../real/support/process.ts';
import { probe } from '../../real/support/request.ts';

/** One webhook replica, across restarts. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  /** Whether it takes reviews. */
  readonly isUp: () => boolean;
  /** Time of its last shutdown, in milliseconds since 1970. */
  readonly lastEndedAt: () => number;
  /** Ends it with the signal and starts it again. */
  readonly restart: (signal: 'SIGKILL' | 'SIGTERM') => Promise<ProcessEnd>;
  /** Ends it. */
  readonly stop: () => Promise<ProcessEnd>;
  /** Its output across restarts. */
  readonly output: () => string;
  /** Peak memory in MiB; `undefined` if the system does not report it. */
  readonly peakMemory: () => number | undefined;
  /** Its folder for temporary files. */
  readonly tempDir: string;
}

export interface ReplicaOptions {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
}

const patienceMs = 90_000;
const root = join(import.meta.dirname, '../../..');

/** Starts the webhook from source and waits until it is ready. */
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
      // Without tsx's compile cache, every file left in TMPDIR is the webhook's.
      env: { ...env, PORT: String(port), TMPDIR: tempDir, TSX_DISABLE_CACHE: '1' },
      isReady: async () => (await probe(`${url}/readyz`)) === 200,
    });
    isUp = true;
    return started;
  }

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<ProcessEnd> {
    isUp = false;
    lastEndedAt = Date.now();
    // A running copy is finished first, under faults.
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
        // Not Linux, or the process has ended.
        return undefined;
      }
    },
  };
}

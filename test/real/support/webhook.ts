import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { createTempDir } from './janitor.ts';
import { findFreePort } from './port.ts';
import { launchProcess, type ProcessEnd, startProcess } from './process.ts';
import { type Answer, probe, sendRequest } from './request.ts';
import type { Tls } from './tls.ts';

export interface WebhookOptions {
  /** Environment in addition to PATH, HOME, PORT and the files of `tls`. */
  readonly env: Readonly<Record<string, string>>;
  /** Enables https with these files. @default plain http */
  readonly tls?: Pick<Tls, 'ca' | 'certFile' | 'keyFile'>;
  /** Program and arguments. @default `npm start`: node --import tsx functions/webhook/main.ts */
  readonly command?: readonly [string, ...string[]];
  readonly port?: number;
}

/** One log line of pino. */
type LogLine = Readonly<Record<string, unknown>>;

export interface Webhook {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly pid: number;
  /** All JSON lines on stdout so far. */
  readonly log: () => readonly LogLine[];
  /** Resolves with the first matching line. */
  readonly waitForLog: (fits: (line: LogLine) => boolean, withinMs?: number) => Promise<LogLine>;
  /** All output that is not JSON. */
  readonly stderr: () => string;
  readonly get: (path: string) => Promise<Answer>;
  /** POSTs a review to `/clone-image`. */
  readonly review: (body: unknown, timeout?: string) => Promise<Answer>;
  /** Resolves when the process has ended. */
  readonly waitForEnd: () => Promise<ProcessEnd>;
  /** @default SIGTERM */
  readonly stop: (signal?: NodeJS.Signals) => Promise<ProcessEnd>;
}

const root = join(import.meta.dirname, '../../..');
const fromSource = [
  process.execPath,
  '--import',
  'tsx',
  'functions/webhook/main.ts',
] as const satisfies WebhookOptions['command'];

/** Starts the webhook and waits until `/readyz` responds with 200. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { tls } = options;
  const port = options.port ?? (await findFreePort());
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const ca = tls === undefined ? {} : { ca: tls.ca };
  const running = await startProcess({
    ...toProcess(options, port),
    isReady: async () => (await probe(`${url}/readyz`, ca)) === 200,
    readyWithinMs: 30_000,
  });

  const log = (): readonly LogLine[] => running.stdout().split('\n').flatMap(parseLine);
  return {
    url,
    pid: running.pid,
    waitForEnd: running.waitForEnd,
    log,
    waitForLog: (fits, withinMs) =>
      eventually('the webhook logs the expected line', () => log().find(fits), withinMs),
    stderr: running.stderr,
    get: (path) => sendRequest(`${url}${path}`, ca),
    review: (body, timeout = '10s') =>
      sendRequest(`${url}/clone-image?timeout=${timeout}`, {
        ...ca,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    stop: running.stop,
  };
}

function toProcess(
  { env, tls, command = fromSource }: WebhookOptions,
  port: number,
): Parameters<typeof launchProcess>[0] {
  const [program, ...args] = command;
  return {
    program,
    args,
    cwd: root,
    dir: createTempDir('webhook'),
    env: {
      PORT: String(port),
      ...(tls !== undefined && { TLS_CERT_FILE: tls.certFile, TLS_PRIVATE_KEY_FILE: tls.keyFile }),
      ...env,
    },
  };
}

/** Ignores an incomplete last line, and lines that are not JSON. */
function parseLine(line: string): readonly LogLine[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? [{ ...value }] : [];
  } catch {
    return [];
  }
}

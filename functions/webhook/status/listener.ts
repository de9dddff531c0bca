import type { Logger } from '../../../lib/index.ts';
import type { Section } from '../../../lib/status/index.ts';
import { openServer } from '../server.ts';

export interface StatusListenerOptions {
  readonly port: number;
  readonly readSections: () => readonly Section[];
  readonly logger: Logger;
}

export interface StatusListener {
  readonly port: number;
  close(): Promise<void>;
}

/** Only processes of the pod, and `kubectl port-forward`, reach it. */
const loopback = '127.0.0.1';

/** Opens the listener of the status page; resolves with `undefined`, and a warning, if its port is taken: reviews go on without it. */
export async function openStatusListener({
  port,
  readSections,
  logger,
}: StatusListenerOptions): Promise<StatusListener | undefined> {
  let app: Promise<{ readonly fetch: (request: Request) => Response | Promise<Response> }>;
  const load = (): typeof app => {
    app ??= import('./page.ts').then(({ createStatusApp }) => createStatusApp(readSections));
    return app;
  };
  try {
    const fetch = async (request: Request): Promise<Response> => (await load()).fetch(request);
    return await openServer({ fetch, port, host: loopback });
  } catch (error) {
    logger.warn({ err: error, port }, 'no status page: STATUS_PORT cannot be opened');
    return undefined;
  }
}

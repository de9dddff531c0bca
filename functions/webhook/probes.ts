import { Hono } from 'hono';
import { CloneError, type Logger } from '../../lib/index.ts';

export interface ProbeDeps {
  /** `false` while the process drains. */
  readonly isReady: () => boolean;
  /** One sentence about an outage. It does not change the status: each review handles an outage by itself. @default no outage */
  readonly outage?: () => string | undefined;
  /** For `GET /metrics`. */
  readonly metrics: { readonly render: () => Promise<string>; readonly contentType: string };
  readonly logger: Logger;
}

/** The connection of a request. */
export interface Connection {
  /** Whether the client sent a certificate of `TLS_CLIENT_CA_FILE`. */
  readonly hasTrustedCertificate: () => boolean;
}

export type ConnectionEnv = { Bindings: Connection };

/** The routes of every port: probes, metrics, and the responses to unknown paths and errors. */
export function createProbes({ isReady, outage, metrics, logger }: ProbeDeps): Hono<ConnectionEnv> {
  const app = new Hono<ConnectionEnv>();

  app.get('/readyz', (c) => {
    if (!isReady()) return c.text('not ready', 503);
    return c.text(['OK', outage?.() ?? []].flat().join('\n'));
  });
  app.get('/livez', (c) => c.text('OK'));
  app.get('/metrics', async (c) => {
    c.header('Content-Type', metrics.contentType);
    return c.body(await metrics.render());
  });
  app.on(['POST', 'PUT', 'PATCH', 'DELETE'], ['/readyz', '/livez', '/metrics'], (c) => {
    c.header('Allow', 'GET, HEAD');
    return c.text('method not allowed: send probes with GET\n', 405);
  });

  app.notFound((c) =>
    c.text('not found: send AdmissionReviews to /clone-image, probes to /readyz and /livez\n', 404),
  );

  app.onError((error, c) => {
    if (error instanceof CloneError) {
      return c.text(`${error.message}\n`, error.code === 'LINE_FULL' ? 503 : 400);
    }
    logger.error({ err: error }, 'a request failed because of a bug');
    return c.text('internal error in image-cloner: see its log\n', 500);
  });

  return app;
}

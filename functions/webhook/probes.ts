import { Hono } from 'hono';
import { CloneError, type Logger } from '../../lib/index.ts';

export interface ProbeDeps {
  /** Whether reviews are taken: configuration and credentials are loaded, and we are not on our way out. */
  readonly isReady: () => boolean;
  /** What is down, in one sentence. It is told and changes nothing: an outage is answered review by review. @default nothing */
  readonly outage?: () => string | undefined;
  /** For `GET /metrics`. */
  readonly metrics: { readonly render: () => Promise<string>; readonly contentType: string };
  readonly logger: Logger;
}

/** What the server knows of the connection that a request came by. */
export interface Connection {
  /** Whether the client showed a certificate of `TLS_CLIENT_CA_FILE`. */
  readonly hasTrustedCertificate: () => boolean;
}

export type ConnectionEnv = { Bindings: Connection };

/** The routes that every port has: probes, metrics, and words for whoever asks for something else. */
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
    return c.text('probes are sent by GET\n', 405);
  });

  app.notFound((c) =>
    c.text(
      'not found: AdmissionReviews are sent to /clone-image, probes to /readyz and /livez\n',
      404,
    ),
  );

  app.onError((error, c) => {
    if (error instanceof CloneError) {
      return c.text(`${error.message}\n`, error.code === 'LINE_FULL' ? 503 : 400);
    }
    logger.error({ err: error }, 'a request failed because of a bug');
    return c.text('internal error in image-cloner, see its log\n', 500);
  });

  return app;
}

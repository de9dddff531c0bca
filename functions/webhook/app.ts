import type { Context, Hono } from 'hono';
import { type AdmissionHandler, CloneError, type ReviewOptions } from '../../lib/index.ts';
import {
  hasTooManyObjects,
  maxBodyBytes,
  maxJsonObjects,
  parseJson,
  readBody,
  readLength,
} from './body.ts';
import { type BodySlot, createBodyQueue, createOverloadError } from './body-queue.ts';
import { type ConnectionEnv, createProbes, type ProbeDeps } from './probes.ts';

export interface AppDeps extends ProbeDeps {
  readonly review: AdmissionHandler;
  /** Whether a review needs a client certificate of `TLS_CLIENT_CA_FILE`. @default false */
  readonly demandsCertificate?: boolean;
}

const tooLarge = 'the AdmissionReview is larger than 8 MiB\n';
const tooManyObjects = `the AdmissionReview has more than ${maxJsonObjects} JSON objects and lists: no object that the API server stores has as many\n`;
const defaultTimeoutMs = 10_000;
const maxTimeoutMs = 30_000;
/** An answer takes milliseconds, and a tenth of a second while several copies keep the processor busy. */
const maxMarginMs = 500;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** The routes of the port for reviews. */
export function createApp(deps: AppDeps): Hono<ConnectionEnv> {
  const { review, demandsCertificate = false, logger } = deps;
  const app = createProbes(deps);
  const withSlot = createBodyQueue();

  // hono calls a single handler directly; two of them cost a chain of promises for each review.
  app.all('/clone-image', async (c) => {
    if (c.req.method !== 'POST') {
      c.header('Allow', 'POST');
      return c.text('method not allowed: send AdmissionReviews with POST\n', 405);
    }
    if (demandsCertificate && !c.env.hasTrustedCertificate()) {
      // The API server shows the body of a 403, but not of a 401.
      return c.text(
        'client certificate required: AdmissionReviews are accepted only with a certificate of a CA in TLS_CLIENT_CA_FILE\n',
        403,
      );
    }
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/json\s*(;|$)/i.test(type)) {
      return c.text('unsupported content type: send AdmissionReviews as application/json\n', 415);
    }
    const bytes = readLength(c);
    if (bytes !== undefined && bytes > maxBodyBytes) return c.text(tooLarge, 413);
    return await withSlot(bytes, (slot) => respond(c, bytes, slot));
  });

  async function respond(
    c: Context<ConnectionEnv>,
    bytes: number | undefined,
    slot: BodySlot,
  ): Promise<Response> {
    const text = await readBody(c, bytes, slot.signal);
    if (text === undefined) return c.text(tooLarge, 413);
    if (hasTooManyObjects(text)) return c.text(tooManyObjects, 413);
    const options = toOptions(c, slot);
    try {
      return c.json(await startReview(text, options));
    } catch (error) {
      if (error instanceof CloneError && error.code === 'INVALID_REVIEW') {
        return c.text(`${error.message}\n`, 400);
      }
      const uid = readUid(text);
      logger.error({ uid, err: error }, 'a review failed because of a bug');
      // kubectl shows a text/plain body; for JSON it prints "unknown".
      return c.text(`internal error in image-cloner: see its log for ${uid}\n`, 500);
    }
  }

  /** Not async: an async function would hold the parsed object until the review ends. */
  function startReview(text: string, options: ReviewOptions): ReturnType<AdmissionHandler> {
    return review(parseJson(text), options);
  }

  return app;
}

/**
 * The wait for a slot shortens the budget. If it has used half of it, the review is rejected and the client retries.
 * No getters: V8 would keep each of their closures, and with it the request, until the next full garbage collection.
 */
function toOptions({ req }: Context, { waitedMs, signal: evicted }: BodySlot): ReviewOptions {
  const budgetMs = toBudgetMs(req.query('timeout'));
  if (waitedMs > budgetMs / 2) {
    return { signal: AbortSignal.abort(createOverloadError()), budgetMs };
  }
  const { signal } = req.raw;
  return {
    signal: evicted === undefined ? signal : AbortSignal.any([signal, evicted]),
    budgetMs: budgetMs - waitedMs,
  };
}

/** The routes of the plain HTTP port beside an HTTPS one: probes only. */
export function createProbeApp(
  deps: ProbeDeps & { readonly reviewPort: number },
): Hono<ConnectionEnv> {
  const app = createProbes(deps);
  app.all('/clone-image', (c) =>
    c.text(`AdmissionReviews are accepted only over HTTPS, on port ${deps.reviewPort}\n`, 403),
  );
  return app;
}

/** The timeout of the API server, from the query `?timeout=10s`, less a margin for the response. */
export function toBudgetMs(timeout: string | undefined): number {
  const match = /^(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)$/.exec(timeout ?? '');
  const requestedMs =
    match === null ? defaultTimeoutMs : Number(match[1]) * (unitMs[match[2] ?? ''] ?? 0);
  const timeoutMs = Math.min(requestedMs === 0 ? defaultTimeoutMs : requestedMs, maxTimeoutMs);
  const marginMs = Math.min(maxMarginMs, timeoutMs * 0.2);
  return timeoutMs - marginMs;
}

/** For the log and the response; only a uid that is safe to print. */
function readUid(body: string): string {
  const uid = /"uid":\s*"([\w-]{1,64})"/.exec(body);
  return uid?.[1] ?? 'a review without uid';
}
